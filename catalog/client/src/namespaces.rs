//! Namespaces and their properties, over Iceberg REST.

use std::collections::HashMap;

use reqwest::Method;
use serde::{Deserialize, Serialize};

use crate::client::CatalogClient;
use crate::error::Result;
use crate::path;
use tidewater_core::Namespace;

#[derive(Debug, Serialize)]
struct CreateNamespace<'a> {
    namespace: &'a [String],
    properties: &'a HashMap<String, String>,
}

#[derive(Debug, Deserialize)]
struct LoadedNamespace {
    #[serde(default)]
    properties: Option<HashMap<String, String>>,
}

#[derive(Debug, Serialize)]
struct UpdateProperties<'a> {
    removals: &'a [String],
    updates: &'a HashMap<String, String>,
}

impl CatalogClient {
    /// Parents first: the catalog wants them to be there.
    pub(crate) async fn make_parents(&self, namespace: &Namespace) -> Result<()> {
        for depth in 1..namespace.levels().len() {
            let levels = namespace.levels().get(..depth).unwrap_or_default();
            self.make_if_missing(levels).await?;
        }
        Ok(())
    }

    pub(crate) async fn make_if_missing(&self, levels: &[String]) -> Result<()> {
        match self.make_namespace(levels, &HashMap::new()).await {
            Err(error) if error.is_refusal("AlreadyExistsException") => Ok(()),
            made => made,
        }
    }

    pub(crate) async fn make_namespace(
        &self,
        namespace: &[String],
        properties: &HashMap<String, String>,
    ) -> Result<()> {
        let body = CreateNamespace { namespace, properties };
        self.mutate(Method::POST, "/v1/namespaces".into(), Some(&body)).await?;
        Ok(())
    }

    pub(crate) async fn properties_of(&self, namespace: &Namespace) -> Result<HashMap<String, String>> {
        let loaded: LoadedNamespace = self.get(path::namespace(namespace)).await?.json()?;
        Ok(loaded.properties.unwrap_or_default())
    }

    pub(crate) async fn update_properties_of(
        &self,
        namespace: &Namespace,
        removals: &[String],
        updates: &HashMap<String, String>,
    ) -> Result<()> {
        let path = format!("{}/properties", path::namespace(namespace));
        let body = UpdateProperties { removals, updates };
        self.mutate(Method::POST, path, Some(&body)).await?;
        Ok(())
    }
}
