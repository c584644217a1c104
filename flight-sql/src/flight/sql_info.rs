//! What the server says of itself: every value that the JDBC driver's metadata and ADBC ask for.
//!
//! Source: FlightSql.proto, `SqlInfo`. The driver casts values without looking, so each must have the documented type, and
//! a missing one makes a getter throw.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_flight::sql::metadata::{SqlInfoData, SqlInfoDataBuilder};
use arrow_flight::sql::{SqlInfo, SqlSupportedTransaction, SqlSupportsConvert};
use datafusion::arrow::array::{Array, ArrayRef, RecordBatch, UnionArray};
use datafusion::arrow::datatypes::{DataType, Schema, SchemaRef, UnionFields};
use datafusion::arrow::error::ArrowError;

/// Names of the functions that a session knows, by what they work on.
#[derive(Debug, Clone, Default)]
pub struct FunctionNames {
    /// On numbers.
    pub numeric: Vec<String>,
    /// On text and bytes.
    pub string: Vec<String>,
    /// On dates and times.
    pub datetime: Vec<String>,
    /// On anything else.
    pub system: Vec<String>,
}

/// Reserved words beyond SQL:2003 that must be quoted as names.
const KEYWORDS: &[&str] = &[
    "QUALIFY", "PIVOT", "UNPIVOT", "EXPLAIN", "LIMIT", "OFFSET", "ILIKE", "ANTI", "SEMI",
];

/// Longest name, as the catalog accepts it.
const NAME_BYTES: i64 = 255;

/// Longest statement the server takes.
const STATEMENT_BYTES: i64 = 16 << 20;

/// Every value. `functions` come from the session.
pub fn sql_info(functions: &FunctionNames) -> Result<SqlInfoData, ArrowError> {
    let mut info = SqlInfoDataBuilder::new();
    server(&mut info);
    language(&mut info, functions);
    support(&mut info);
    limits(&mut info);
    info.build().map_err(|error| ArrowError::ExternalError(Box::new(error)))
}

/// The schema of the values as the protocol has it: arrow-flight tells two of the union's members to be nullable, as that is what its
/// builders make.
pub fn schema(told: &Schema) -> SchemaRef {
    let fields = told.fields().iter().map(|field| match field.data_type() {
        DataType::Union(members, mode) => {
            let of = DataType::Union(never_null(members), *mode);
            Arc::new(field.as_ref().clone().with_data_type(of))
        }
        _ => Arc::clone(field),
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn never_null(members: &UnionFields) -> UnionFields {
    let members = members
        .iter()
        .map(|(id, member)| (id, Arc::new(member.as_ref().clone().with_nullable(false))));
    members.collect()
}

/// The values in that schema.
pub fn values(told: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let columns = told
        .columns()
        .iter()
        .map(|column| match column.as_any().downcast_ref::<UnionArray>() {
            Some(values) => {
                let (members, ids, offsets, children) = values.clone().into_parts();
                let values = UnionArray::try_new(never_null(&members), ids, offsets, children)?;
                Ok(Arc::new(values) as ArrayRef)
            }
            None => Ok(Arc::clone(column)),
        });
    RecordBatch::try_new(schema(told.schema_ref()), columns.collect::<Result<_, ArrowError>>()?)
}

fn server(info: &mut SqlInfoDataBuilder) {
    info.append(SqlInfo::FlightSqlServerName, "tidewater");
    info.append(SqlInfo::FlightSqlServerVersion, env!("CARGO_PKG_VERSION"));
    info.append(SqlInfo::FlightSqlServerArrowVersion, "1.5");
    info.append(SqlInfo::FlightSqlServerReadOnly, false);
    info.append(SqlInfo::FlightSqlServerSql, true);
    info.append(SqlInfo::FlightSqlServerSubstrait, false);
    // No versions of Substrait, which is not supported: there is no null that could say so.
    info.append(
        SqlInfo::FlightSqlServerTransaction,
        SqlSupportedTransaction::None as i32,
    );
    info.append(SqlInfo::FlightSqlServerCancel, true);
    info.append(SqlInfo::FlightSqlServerBulkIngestion, true);
    info.append(SqlInfo::FlightSqlServerIngestTransactionsSupported, false);
    info.append(SqlInfo::FlightSqlServerStatementTimeout, 0_i32);
    info.append(SqlInfo::FlightSqlServerTransactionTimeout, 0_i32);
}

fn language(info: &mut SqlInfoDataBuilder, functions: &FunctionNames) {
    info.append(SqlInfo::SqlDdlCatalog, false);
    info.append(SqlInfo::SqlDdlSchema, true);
    info.append(SqlInfo::SqlDdlTable, true);
    // Unquoted names are lowered, quoted ones kept.
    info.append(SqlInfo::SqlIdentifierCase, 3_i32);
    info.append(SqlInfo::SqlIdentifierQuoteChar, "\"");
    info.append(SqlInfo::SqlQuotedIdentifierCase, 1_i32);
    info.append(SqlInfo::SqlAllTablesAreSelectable, true);
    // As in PostgreSQL: nulls sort as if larger than all values.
    info.append(SqlInfo::SqlNullOrdering, 0_i32);
    info.append(SqlInfo::SqlKeywords, KEYWORDS);
    // As ODBC calls its own: the driver looks for these and for no others.
    let told = |names: &[String]| names.iter().map(|name| name.to_ascii_uppercase()).collect::<Vec<_>>();
    info.append(SqlInfo::SqlNumericFunctions, told(&functions.numeric));
    info.append(SqlInfo::SqlStringFunctions, told(&functions.string));
    info.append(SqlInfo::SqlSystemFunctions, told(&functions.system));
    info.append(SqlInfo::SqlDatetimeFunctions, told(&functions.datetime));
    info.append(SqlInfo::SqlSearchStringEscape, "\\");
    info.append(SqlInfo::SqlExtraNameCharacters, "");
    info.append(SqlInfo::SqlSchemaTerm, "schema");
    info.append(SqlInfo::SqlProcedureTerm, "procedure");
    info.append(SqlInfo::SqlCatalogTerm, "catalog");
    info.append(SqlInfo::SqlCatalogAtStart, true);
}

fn support(info: &mut SqlInfoDataBuilder) {
    for (name, value) in [
        (SqlInfo::SqlSupportsColumnAliasing, true),
        (SqlInfo::SqlNullPlusNullIsNull, true),
        (SqlInfo::SqlSupportsTableCorrelationNames, true),
        (SqlInfo::SqlSupportsDifferentTableCorrelationNames, false),
        (SqlInfo::SqlSupportsExpressionsInOrderBy, true),
        (SqlInfo::SqlSupportsOrderByUnrelated, true),
        (SqlInfo::SqlSupportsLikeEscapeClause, true),
        (SqlInfo::SqlSupportsNonNullableColumns, true),
        (SqlInfo::SqlSupportsIntegrityEnhancementFacility, false),
        (SqlInfo::SqlSelectForUpdateSupported, false),
        (SqlInfo::SqlStoredProceduresSupported, false),
        (SqlInfo::SqlCorrelatedSubqueriesSupported, true),
        (SqlInfo::SqlMaxRowSizeIncludesBlobs, true),
        (SqlInfo::SqlTransactionsSupported, false),
        (SqlInfo::SqlDataDefinitionCausesTransactionCommit, false),
        (SqlInfo::SqlDataDefinitionsInTransactionsIgnored, true),
        (SqlInfo::SqlBatchUpdatesSupported, false),
        (SqlInfo::SqlSavepointsSupported, false),
        (SqlInfo::SqlNamedParametersSupported, false),
        (SqlInfo::SqlLocatorsUpdateCopy, false),
        (SqlInfo::SqlStoredFunctionsUsingCallSyntaxSupported, false),
    ] {
        info.append(name, value);
    }
    // Bit masks over the enumerations of the protocol.
    for (name, mask) in [
        (SqlInfo::SqlSupportedGroupBy, 0b11),
        (SqlInfo::SqlSupportedGrammar, 0b11),
        (SqlInfo::SqlAnsi92SupportedLevel, 0b1),
        (SqlInfo::SqlOuterJoinsSupportLevel, 0b100),
        (SqlInfo::SqlSchemasSupportedActions, 0),
        (SqlInfo::SqlCatalogsSupportedActions, 0),
        (SqlInfo::SqlSupportedPositionedCommands, 0),
        (SqlInfo::SqlSupportedSubqueries, 0b1111),
        (SqlInfo::SqlSupportedUnions, 0b11),
        (SqlInfo::SqlSupportedTransactionsIsolationLevels, 0b1),
        (SqlInfo::SqlSupportedResultSetTypes, 0b10),
        (SqlInfo::SqlSupportedConcurrenciesForResultSetUnspecified, 0),
        (SqlInfo::SqlSupportedConcurrenciesForResultSetForwardOnly, 0b10),
        (SqlInfo::SqlSupportedConcurrenciesForResultSetScrollSensitive, 0),
        (SqlInfo::SqlSupportedConcurrenciesForResultSetScrollInsensitive, 0),
    ] {
        info.append(name, mask);
    }
    info.append(SqlInfo::SqlSupportsConvert, conversions());
}

/// What CAST can do: every scalar to text and back, numbers among themselves.
fn conversions() -> BTreeMap<i32, Vec<i32>> {
    use SqlSupportsConvert as T;
    let numbers = [
        T::SqlConvertTinyint,
        T::SqlConvertSmallint,
        T::SqlConvertInteger,
        T::SqlConvertBigint,
        T::SqlConvertReal,
        T::SqlConvertFloat,
        T::SqlConvertDecimal,
        T::SqlConvertNumeric,
    ];
    let others = [
        T::SqlConvertDate,
        T::SqlConvertTime,
        T::SqlConvertTimestamp,
        T::SqlConvertBit,
    ];
    let text = T::SqlConvertVarchar as i32;
    let mut from: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for number in numbers {
        let mut to: Vec<i32> = numbers.iter().map(|t| *t as i32).collect();
        to.push(text);
        from.insert(number as i32, to);
    }
    for other in others {
        from.insert(other as i32, vec![text, other as i32]);
    }
    from.insert(text, numbers.iter().chain(&others).map(|t| *t as i32).collect());
    from
}

fn limits(info: &mut SqlInfoDataBuilder) {
    // 0 means no limit, or none that is known.
    for (name, value) in [
        (SqlInfo::SqlMaxBinaryLiteralLength, 0),
        (SqlInfo::SqlMaxCharLiteralLength, 0),
        (SqlInfo::SqlMaxColumnNameLength, NAME_BYTES),
        (SqlInfo::SqlMaxColumnsInGroupBy, 0),
        (SqlInfo::SqlMaxColumnsInIndex, 0),
        (SqlInfo::SqlMaxColumnsInOrderBy, 0),
        (SqlInfo::SqlMaxColumnsInSelect, 0),
        (SqlInfo::SqlMaxColumnsInTable, 0),
        (SqlInfo::SqlMaxConnections, 0),
        (SqlInfo::SqlMaxCursorNameLength, 0),
        (SqlInfo::SqlMaxIndexLength, 0),
        (SqlInfo::SqlDbSchemaNameLength, NAME_BYTES),
        (SqlInfo::SqlMaxProcedureNameLength, 0),
        (SqlInfo::SqlMaxCatalogNameLength, NAME_BYTES),
        (SqlInfo::SqlMaxRowSize, 0),
        (SqlInfo::SqlMaxStatementLength, STATEMENT_BYTES),
        (SqlInfo::SqlMaxStatements, 0),
        (SqlInfo::SqlMaxTableNameLength, NAME_BYTES),
        (SqlInfo::SqlMaxTablesInSelect, 0),
        (SqlInfo::SqlMaxUsernameLength, NAME_BYTES),
        (SqlInfo::SqlDefaultTransactionIsolation, 0),
    ] {
        info.append(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: no getter of a driver finds a hole, nor a value of another type than it casts to. Method: every code that the protocol's own
    // enumeration knows must have one value, in the member of the union that the protocol names for it; those of Substrait have none.
    #[test]
    fn every_code_has_a_value() -> Result<(), ArrowError> {
        let info = sql_info(&FunctionNames::default())?;
        let codes: Vec<SqlInfo> = (0..CODES_END).filter_map(|code| SqlInfo::try_from(code).ok()).collect();
        assert_eq!(codes.len(), 91, "the protocol has other codes than it had");
        let none = [
            SqlInfo::FlightSqlServerSubstraitMinVersion,
            SqlInfo::FlightSqlServerSubstraitMaxVersion,
        ];
        for code in codes {
            let batch = info
                .record_batch([code as u32])
                .map_err(|e| ArrowError::ExternalError(Box::new(e)))?;
            let values = batch.column(1).as_any().downcast_ref::<UnionArray>().expect("a union");
            let members: Vec<i8> = (0..batch.num_rows()).map(|at| values.type_id(at)).collect();
            let expected = match none.contains(&code) {
                true => vec![],
                false => vec![member(code as i32)],
            };
            assert_eq!(members, expected, "{}", code.as_str_name());
        }
        Ok(())
    }

    /// Which member of the union the value of a code is: text, truth, long, mask or enumeration, list, map. As the protocol has it, but for
    /// the default isolation, which is a long for the JDBC driver.
    fn member(code: i32) -> i8 {
        match code {
            0..=2 | 504 | 513 | 514 | 529..=531 => 0,
            541..=555 | 557..=562 => 2,
            8 | 100 | 101 | 503 | 505 | 507 | 522 | 525 | 526 | 528 | 533..=535 | 538 | 540 | 564 | 567..=571 => 3,
            508..=512 => 4,
            517 => 5,
            _ => 1,
        }
    }

    /// Beyond all codes of the protocol.
    const CODES_END: i32 = 10_000;
}
