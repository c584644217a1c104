//! Puts back what scans lose on the way to another process.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::datasource::physical_plan::{FileScanConfig, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::physical_plan::ExecutionPlan;

use crate::field_ids::{FieldIdAdapterFactory, has_ids};
use crate::reads::CheckedReads;

/// Makes the scans of a decoded plan match columns by field id again, and compare what they read with its checksums. Without it they
/// match by name, renamed columns read as null without any error, and a bit that changed is another row: every plan that comes from
/// another process must pass here before it runs.
pub fn restore_scans(plan: Arc<dyn ExecutionPlan>, runtime: &RuntimeEnv) -> Result<Arc<dyn ExecutionPlan>> {
    Ok(plan.transform(|node| restore_scan(node, runtime))?.data)
}

fn restore_scan(plan: Arc<dyn ExecutionPlan>, runtime: &RuntimeEnv) -> Result<Transformed<Arc<dyn ExecutionPlan>>> {
    let Some(scan) = plan.downcast_ref::<DataSourceExec>() else {
        return Ok(Transformed::no(plan));
    };
    let Some((config, source)) = scan.downcast_to_file_source::<ParquetSource>() else {
        return Ok(Transformed::no(plan));
    };
    // A column that partitions tell has its id too, and may be the only one.
    if !has_ids(config.file_schema().fields()) && !has_ids(config.table_partition_cols()) {
        return Ok(Transformed::no(plan));
    }
    let reader = CheckedReads::new(runtime, &config.object_store_url, config.file_schema())?;
    let source = source.clone().with_parquet_file_reader_factory(Arc::new(reader));
    let config: FileScanConfig = FileScanConfigBuilder::from(config.clone())
        .with_source(Arc::new(source))
        .with_expr_adapter(Some(Arc::new(FieldIdAdapterFactory::default())))
        .build();
    Ok(Transformed::yes(DataSourceExec::from_data_source(config)))
}
