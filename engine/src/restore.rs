//! Puts back what scans lose on the way to another process.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::datasource::physical_plan::{FileScanConfig, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_plan::ExecutionPlan;

use crate::field_ids::{FieldIdAdapterFactory, has_ids};

/// Makes the scans of a decoded plan match columns by field id again. Without it they match by name, and renamed columns
/// read as null without any error: every plan that comes from another process must pass here before it runs.
pub fn restore_scans(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    Ok(plan.transform(restore_scan)?.data)
}

fn restore_scan(plan: Arc<dyn ExecutionPlan>) -> Result<Transformed<Arc<dyn ExecutionPlan>>> {
    let Some(scan) = plan.downcast_ref::<DataSourceExec>() else {
        return Ok(Transformed::no(plan));
    };
    let Some((config, _)) = scan.downcast_to_file_source::<ParquetSource>() else {
        return Ok(Transformed::no(plan));
    };
    if !has_ids(config.file_schema().fields()) {
        return Ok(Transformed::no(plan));
    }
    let config: FileScanConfig = FileScanConfigBuilder::from(config.clone())
        .with_expr_adapter(Some(Arc::new(FieldIdAdapterFactory::default())))
        .build();
    Ok(Transformed::yes(DataSourceExec::from_data_source(config)))
}
