"""What FlightSql.proto, and Arrow's constants after it, say of metadata: schemas, and of each code of SqlInfo the type and the enumeration.

The schemas are those that Arrow's integration scenarios compare with (cpp/src/arrow/flight/sql/server.cc, SqlSchema; arrow-go, schema_ref).
"""
import pyarrow
from pyarrow import binary, bool_, int32, int64, list_, uint8, uint32, utf8


def member(name, kind):
    return pyarrow.field(name, kind, nullable=False)


VALUES = {"string_value": utf8(), "bool_value": bool_(), "bigint_value": int64(), "int32_bitmask": int32(), "string_list": list_(utf8())}
VALUES["int32_to_int32_list_map"] = pyarrow.map_(int32(), list_(int32()))
KINDS = {
    "utf8": utf8(),
    "i32": int32(),
    "u8": uint8(),
    "u32": uint32(),
    "bool": bool_(),
    "bytes": binary(),
    "words": list_(member("item", utf8())),
    "value": pyarrow.dense_union([member(*pair) for pair in VALUES.items()]),
}


def schema(text):
    """Columns and their types; `!` means not null."""
    pairs = (word.split(":") for word in text.split())
    return pyarrow.schema([pyarrow.field(name, KINDS[kind.rstrip("!")], nullable=kind[-1] != "!") for name, kind in pairs])


SIDE = "{0}_catalog_name:utf8 {0}_db_schema_name:utf8 {0}_table_name:utf8! {0}_column_name:utf8! "
CATALOGS = schema("catalog_name:utf8!")
SCHEMAS = schema("catalog_name:utf8 db_schema_name:utf8!")
TABLES = schema("catalog_name:utf8 db_schema_name:utf8 table_name:utf8! table_type:utf8!")
TABLES_WITH_SCHEMA = schema("catalog_name:utf8 db_schema_name:utf8 table_name:utf8! table_type:utf8! table_schema:bytes!")
TABLE_TYPES = schema("table_type:utf8!")
# The comment of FlightSql.proto has the name of the key before its sequence, all constants have it after.
PRIMARY_KEYS = schema("catalog_name:utf8 db_schema_name:utf8 table_name:utf8! column_name:utf8! key_sequence:i32! key_name:utf8")
KEYS = schema(SIDE.format("pk") + SIDE.format("fk") + "key_sequence:i32! fk_key_name:utf8 pk_key_name:utf8 update_rule:u8! delete_rule:u8!")
TYPES = schema(
    "type_name:utf8! data_type:i32! column_size:i32 literal_prefix:utf8 literal_suffix:utf8 create_params:words nullable:i32! case_sensitive:bool! searchable:i32!"
    " unsigned_attribute:bool fixed_prec_scale:bool! auto_increment:bool local_type_name:utf8 minimum_scale:i32 maximum_scale:i32 sql_data_type:i32!"
    " datetime_subcode:i32 num_prec_radix:i32 interval_precision:i32"
)
INFO = schema("info_name:u32! value:value!")


def codes(kind, *of):
    return {code: kind for part in of for code in ([part] if isinstance(part, int) else part)}


CODES = {
    # Not 6 and 7: they are of Substrait, and "null if Substrait is not supported", which no member of the union can be.
    **codes("string_value", 0, 1, 2, 504, 513, 514, range(529, 532)),
    **codes("bool_value", 3, 4, 5, 9, 10, 11, range(500, 503), 506, 515, 516, range(518, 522), 523, 524, 527, 532, 536, 537, 539, 556, 563, 565, 566, range(572, 577)),
    **codes("int32_bitmask", 8, 100, 101, 503, 505, 507, 522, 525, 526, 528, range(533, 536), 538, 540, 564, range(567, 572)),
    # 562 is "a int32 ordinal" to the protocol, and a long to the JDBC driver, which casts without looking.
    **codes("bigint_value", range(541, 556), range(557, 563)),
    **codes("string_list", range(508, 513)),
    517: "int32_to_int32_list_map",
}
# Where a number is one of an enumeration, and not a mask of them: how many there are.
# 528 is such a one to the protocol, and a mask to the JDBC driver.
ORDINALS = {8: 3, 503: 4, 505: 4, 507: 4, 562: 5}
READ_ONLY, SUBSTRAIT, SUBSTRAIT_MIN, SUBSTRAIT_MAX, TRANSACTION, CANCEL, INGEST, INGEST_TRANSACTIONS = 3, 5, 6, 7, 8, 9, 10, 11
