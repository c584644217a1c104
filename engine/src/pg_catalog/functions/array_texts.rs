//! Arrays of texts that they are written as.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ListBuilder, StringBuilder};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{exec_err, not_impl_err};

use super::native::{Native, argument, text, texts};
use crate::pg_catalog::array_text::{NoArray, elements};

pub(super) fn all() -> Vec<Native> {
    let returns = DataType::new_list(DataType::Utf8, true);
    vec![Native::new("pg_array_of_text", (1, 1), returns, |arrays, _| {
        let written = texts(argument(arrays, 0)?)?;
        let mut lists = ListBuilder::new(StringBuilder::new());
        for row in 0..written.len() {
            let Some(written) = text(&written, row) else {
                lists.append(false);
                continue;
            };
            match elements(written) {
                Ok(items) => {
                    for item in items {
                        lists.values().append_option(item);
                    }
                    lists.append(true);
                }
                Err(refused @ NoArray::Malformed) => return exec_err!("{}", refused.told(written)),
                Err(refused @ NoArray::Dimensions) => return not_impl_err!("{}", refused.told(written)),
            }
        }
        Ok(Arc::new(lists.finish()))
    })]
}
