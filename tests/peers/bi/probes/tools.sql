-- The statements of tools that cannot be installed here, in the forms in which their public sources and logs have them.
-- A block begins with `--- NAME [$PARAMETER …] [: WORD …] [| WORD …]`. Parameters go through the extended protocol in the order in
-- which they are named (tools_probe.py says what each is); {schema} and {table} are put into the text, as the tool does it. The words
-- after the colon have to be among the values of the answer; those after the bar too, in a check of their own (NAME.names), as a
-- lakehouse may lack them.

-- Npgsql 8: what it asks for first on a connection, in one simple query of four statements
--- npgsql.version
SELECT version()
--- npgsql.types : int4 _int4 text record
-- Arrays have typtype b: they are told by the function that receives them
SELECT ns.nspname, t.oid, t.typname, t.typtype, t.typnotnull, t.elemtypoid
FROM (
  SELECT typ.oid, typ.typnamespace, typ.typname, typ.typtype, typ.typrelid, typ.typnotnull, typ.relkind,
    elemtyp.oid AS elemtypoid, elemtyp.typname AS elemtypname, elemcls.relkind AS elemrelkind,
    CASE WHEN elemproc.proname='array_recv' THEN 'a' ELSE elemtyp.typtype END AS elemtyptype
  FROM (
    SELECT typ.oid, typnamespace, typname, typrelid, typnotnull, relkind, typelem AS elemoid,
      CASE WHEN proc.proname='array_recv' THEN 'a' ELSE typ.typtype END AS typtype,
      CASE
        WHEN proc.proname='array_recv' THEN typ.typelem
        WHEN typ.typtype='r' THEN rngsubtype
        WHEN typ.typtype='m' THEN (SELECT rngtypid FROM pg_range WHERE rngmultitypid = typ.oid)
        WHEN typ.typtype='d' THEN typ.typbasetype
      END AS elemtypoid
    FROM pg_type AS typ
    LEFT JOIN pg_class AS cls ON (cls.oid = typ.typrelid)
    LEFT JOIN pg_proc AS proc ON proc.oid = typ.typreceive
    LEFT JOIN pg_range ON (pg_range.rngtypid = typ.oid)
  ) AS typ
  LEFT JOIN pg_type AS elemtyp ON elemtyp.oid = elemtypoid
  LEFT JOIN pg_class AS elemcls ON (elemcls.oid = elemtyp.typrelid)
  LEFT JOIN pg_proc AS elemproc ON elemproc.oid = elemtyp.typreceive
) AS t
JOIN pg_namespace AS ns ON (ns.oid = typnamespace)
WHERE
  typtype IN ('b', 'r', 'm', 'e', 'd') OR -- what stands for itself
  (typtype = 'c' AND relkind='c') OR -- composites that are no table's
  (typtype = 'p' AND typname IN ('record', 'void')) OR
  (typtype = 'a' AND ( -- arrays of all of these
    elemtyptype IN ('b', 'r', 'm', 'e', 'd') OR
    (elemtyptype = 'p' AND elemtypname IN ('record', 'void')) OR
    (elemtyptype = 'c' AND elemrelkind='c')
  ))
ORDER BY CASE
  WHEN typtype IN ('b', 'e', 'p') THEN 0
  WHEN typtype = 'r' THEN 1
  WHEN typtype = 'm' THEN 2
  WHEN typtype = 'c' THEN 3
  WHEN typtype = 'd' AND elemtyptype <> 'a' THEN 4
  WHEN typtype = 'a' THEN 5
  WHEN typtype = 'd' AND elemtyptype = 'a' THEN 6
END
--- npgsql.composites
-- Fields of composite types
SELECT typ.oid, att.attname, att.atttypid
FROM pg_type AS typ
JOIN pg_namespace AS ns ON (ns.oid = typ.typnamespace)
JOIN pg_class AS cls ON (cls.oid = typ.typrelid)
JOIN pg_attribute AS att ON (att.attrelid = typ.typrelid)
WHERE (typ.typtype = 'c' AND cls.relkind='c') AND
  attnum > 0 AND     -- no system columns
  NOT attisdropped
ORDER BY typ.oid, att.attnum
--- npgsql.enums | low mid high
-- Labels of enums
SELECT pg_type.oid, enumlabel
FROM pg_enum
JOIN pg_type ON pg_type.oid=enumtypid
ORDER BY oid, enumsortorder

-- Power BI: Npgsql 4.0 is what comes with it; the navigator, the columns and keys of a table, previews and DirectQuery
--- powerbi.types : int4 _int4 text record
/*** All types that are understood ***/
SELECT ns.nspname, a.typname, a.oid, a.typrelid, a.typbasetype,
CASE WHEN pg_proc.proname='array_recv' THEN 'a' ELSE a.typtype END AS type,
CASE
  WHEN pg_proc.proname='array_recv' THEN a.typelem
  WHEN a.typtype='r' THEN rngsubtype
  ELSE 0
END AS elemoid,
CASE
  WHEN pg_proc.proname IN ('array_recv','oidvectorrecv') THEN 3    /* after their elements */
  WHEN a.typtype='r' THEN 2
  WHEN a.typtype='d' THEN 1
  ELSE 0
END AS ord
FROM pg_type AS a
JOIN pg_namespace AS ns ON (ns.oid = a.typnamespace)
JOIN pg_proc ON pg_proc.oid = a.typreceive
LEFT OUTER JOIN pg_class AS cls ON (cls.oid = a.typrelid)
LEFT OUTER JOIN pg_type AS b ON (b.oid = a.typelem)
LEFT OUTER JOIN pg_class AS elemcls ON (elemcls.oid = b.typrelid)
LEFT OUTER JOIN pg_range ON (pg_range.rngtypid = a.oid)
WHERE
  a.typtype IN ('b', 'r', 'e', 'd') OR
  (a.typtype = 'c' AND cls.relkind='c') OR
  (pg_proc.proname='array_recv' AND (
    b.typtype IN ('b', 'r', 'e', 'd') OR
    (b.typtype = 'p' AND b.typname IN ('record', 'void')) OR
    (b.typtype = 'c' AND elemcls.relkind='c')
  )) OR
  (a.typtype = 'p' AND a.typname IN ('record', 'void'))
ORDER BY ord
--- powerbi.discard
DISCARD ALL
--- powerbi.character-sets : UTF8
select character_set_name from INFORMATION_SCHEMA.character_sets
--- powerbi.tables : customers orders {schema} VIEW
select TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE
from INFORMATION_SCHEMA.tables
where TABLE_SCHEMA not in ('information_schema', 'pg_catalog')
order by TABLE_SCHEMA, TABLE_NAME
--- powerbi.table-types : customers orders
select TABLE_NAME from INFORMATION_SCHEMA.tables where TABLE_SCHEMA = '{schema}' and TABLE_TYPE = 'BASE TABLE'
--- powerbi.columns : id amount ordered_at numeric boolean
select COLUMN_NAME, ORDINAL_POSITION, IS_NULLABLE, case when (data_type like '%unsigned%') then DATA_TYPE || ' unsigned' else DATA_TYPE end as DATA_TYPE
from INFORMATION_SCHEMA.columns
where TABLE_SCHEMA = '{schema}' and TABLE_NAME = 'orders'
order by TABLE_SCHEMA, TABLE_NAME, ORDINAL_POSITION
--- powerbi.keys : id Y
select i.CONSTRAINT_SCHEMA || '_' || i.CONSTRAINT_NAME as INDEX_NAME, ii.COLUMN_NAME, ii.ORDINAL_POSITION, case when i.CONSTRAINT_TYPE = 'PRIMARY KEY' then 'Y' else 'N' end as PRIMARY_KEY
from INFORMATION_SCHEMA.table_constraints i inner join INFORMATION_SCHEMA.key_column_usage ii on i.CONSTRAINT_SCHEMA = ii.CONSTRAINT_SCHEMA and i.CONSTRAINT_NAME = ii.CONSTRAINT_NAME and i.TABLE_SCHEMA = ii.TABLE_SCHEMA and i.TABLE_NAME = ii.TABLE_NAME
where i.TABLE_SCHEMA = '{schema}' and i.TABLE_NAME = 'orders'
and i.CONSTRAINT_TYPE in ('PRIMARY KEY', 'UNIQUE')
order by i.CONSTRAINT_SCHEMA || '_' || i.CONSTRAINT_NAME, ii.TABLE_SCHEMA, ii.TABLE_NAME, ii.ORDINAL_POSITION
--- powerbi.fk-parent | customer_id
select
    pkcol.COLUMN_NAME as PK_COLUMN_NAME,
    fkcol.TABLE_SCHEMA AS FK_TABLE_SCHEMA,
    fkcol.TABLE_NAME AS FK_TABLE_NAME,
    fkcol.COLUMN_NAME as FK_COLUMN_NAME,
    fkcol.ORDINAL_POSITION as ORDINAL,
    fkcon.CONSTRAINT_SCHEMA || '_' || fkcol.TABLE_NAME || '_' || 'customers' || '_' || fkcon.CONSTRAINT_NAME as FK_NAME
from
    (select distinct constraint_catalog, constraint_schema, unique_constraint_schema, constraint_name, unique_constraint_name
        from INFORMATION_SCHEMA.REFERENTIAL_CONSTRAINTS) fkcon
        inner join
    INFORMATION_SCHEMA.KEY_COLUMN_USAGE fkcol
        on fkcon.CONSTRAINT_SCHEMA = fkcol.CONSTRAINT_SCHEMA
        and fkcon.CONSTRAINT_NAME = fkcol.CONSTRAINT_NAME
        inner join
    INFORMATION_SCHEMA.KEY_COLUMN_USAGE pkcol
        on fkcon.UNIQUE_CONSTRAINT_SCHEMA = pkcol.CONSTRAINT_SCHEMA
        and fkcon.UNIQUE_CONSTRAINT_NAME = pkcol.CONSTRAINT_NAME
where pkcol.TABLE_SCHEMA = '{schema}' and pkcol.TABLE_NAME = 'customers'
        and pkcol.ORDINAL_POSITION = fkcol.ORDINAL_POSITION
order by FK_NAME, fkcol.ORDINAL_POSITION
--- powerbi.fk-child | customers
select
    pkcol.TABLE_SCHEMA AS PK_TABLE_SCHEMA,
    pkcol.TABLE_NAME AS PK_TABLE_NAME,
    pkcol.COLUMN_NAME as PK_COLUMN_NAME,
    fkcol.COLUMN_NAME as FK_COLUMN_NAME,
    fkcol.ORDINAL_POSITION as ORDINAL,
    fkcon.CONSTRAINT_SCHEMA || '_' || 'orders' || '_' || pkcol.TABLE_NAME || '_' || fkcon.CONSTRAINT_NAME as FK_NAME
from
    (select distinct constraint_catalog, constraint_schema, unique_constraint_schema, constraint_name, unique_constraint_name
        from INFORMATION_SCHEMA.REFERENTIAL_CONSTRAINTS) fkcon
        inner join
    INFORMATION_SCHEMA.KEY_COLUMN_USAGE fkcol
        on fkcon.CONSTRAINT_SCHEMA = fkcol.CONSTRAINT_SCHEMA
        and fkcon.CONSTRAINT_NAME = fkcol.CONSTRAINT_NAME
        inner join
    INFORMATION_SCHEMA.KEY_COLUMN_USAGE pkcol
        on fkcon.UNIQUE_CONSTRAINT_SCHEMA = pkcol.CONSTRAINT_SCHEMA
        and fkcon.UNIQUE_CONSTRAINT_NAME = pkcol.CONSTRAINT_NAME
where fkcol.TABLE_SCHEMA = '{schema}' and fkcol.TABLE_NAME = 'orders'
        and pkcol.ORDINAL_POSITION = fkcol.ORDINAL_POSITION
order by FK_NAME, fkcol.ORDINAL_POSITION
--- powerbi.preview : new sent done
select "_"."id", "_"."customer_id", "_"."ordered_at", "_"."day", "_"."amount", "_"."discount", "_"."status", "_"."paid", "_"."tags", "_"."payload"
from "{schema}"."orders" "_"
limit 1000 offset 0
--- powerbi.direct-query : new sent done
select "_"."status", "_"."a0", "_"."a1"
from (
    select "rows"."status" as "status", sum("rows"."amount") as "a0", count(*) as "a1"
    from (select "_"."status", "_"."amount" from "{schema}"."orders" "_"
        where "_"."day" >= date '2024-01-01' and "_"."day" < date '2025-01-01' and "_"."paid" = true) "rows"
    group by "status"
) "_"
where not "_"."a0" is null
limit 1000001 offset 0

-- DBeaver: what it asks as it connects, and as its tree is opened
--- dbeaver.digits
SET extra_float_digits = 3
--- dbeaver.application
SET application_name = 'DBeaver 25.1.5 - Metadata'
--- dbeaver.version
SELECT version()
--- dbeaver.session : {user}
SELECT current_schema(),session_user
--- dbeaver.search-path
SHOW search_path
--- dbeaver.databases $db : {db}
SELECT db.oid,db.* FROM pg_catalog.pg_database db WHERE datname=$1
--- dbeaver.all-databases : {db}
SELECT db.oid,db.* FROM pg_catalog.pg_database db WHERE datallowconn AND NOT datistemplate OR db.datname='{db}' ORDER BY db.datname
--- dbeaver.database-comment $db
select description from pg_shdescription join pg_database on objoid = pg_database.oid where datname = $1
--- dbeaver.schemas : {schema} pg_catalog
SELECT n.oid,n.*,d.description FROM pg_catalog.pg_namespace n
LEFT OUTER JOIN pg_catalog.pg_description d ON d.objoid=n.oid AND d.objsubid=0 AND d.classoid='pg_namespace'::regclass
ORDER BY nspname
--- dbeaver.schema $schema : {schema}
SELECT n.oid,n.*,d.description FROM pg_catalog.pg_namespace n
LEFT OUTER JOIN pg_catalog.pg_description d ON d.objoid=n.oid AND d.objsubid=0 AND d.classoid='pg_namespace'::regclass
WHERE nspname=$1 ORDER BY nspname
--- dbeaver.setting $setting : standard_conforming_strings on
select * from pg_catalog.pg_settings where name=$1
--- dbeaver.settings : search_path
SELECT * FROM pg_catalog.pg_settings
--- dbeaver.keywords
select string_agg(word, ',') from pg_catalog.pg_get_keywords() where word <> ALL ('{a,abs,absolute,action,add,all,allocate,alter}'::text[])
--- dbeaver.has-typcategory
SELECT typcategory FROM pg_catalog.pg_type WHERE 1<>1 LIMIT 1
--- dbeaver.types $catalog_oid : int4 text numeric timestamptz
SELECT t.oid,t.*,c.relkind,format_type(nullif(t.typbasetype, 0), t.typtypmod) as base_type_name, d.description
FROM pg_catalog.pg_type t
LEFT OUTER JOIN pg_catalog.pg_type et ON et.oid=t.typelem
LEFT OUTER JOIN pg_catalog.pg_class c ON c.oid=t.typrelid
LEFT OUTER JOIN pg_catalog.pg_description d ON t.oid=d.objoid
WHERE t.typname IS NOT NULL
AND (c.relkind IS NULL OR c.relkind = 'c') AND (et.typcategory IS NULL OR et.typcategory <> 'C')
AND t.typnamespace=$1
--- dbeaver.type $type : numeric
SELECT t.oid,t.*,c.relkind,format_type(nullif(t.typbasetype, 0), t.typtypmod) as base_type_name FROM pg_catalog.pg_type t
LEFT OUTER JOIN pg_class c ON c.oid=t.typrelid
WHERE t.typname=$1
--- dbeaver.enum-values | low
SELECT e.oid,e.* FROM pg_catalog.pg_enum e ORDER BY e.enumtypid, e.enumsortorder
--- dbeaver.roles : {user}
SELECT a.oid,a.*,pd.description FROM pg_catalog.pg_roles a
LEFT JOIN pg_catalog.pg_shdescription pd ON a.oid = pd.objoid
ORDER BY a.rolname
--- dbeaver.role-members
SELECT * FROM pg_catalog.pg_auth_members
--- dbeaver.tables $schema_oid : customers orders daily people\ who\ order
SELECT c.oid,c.*,d.description,pg_catalog.pg_get_expr(c.relpartbound, c.oid) as partition_expr, pg_catalog.pg_get_partkeydef(c.oid) as partition_key
FROM pg_catalog.pg_class c
LEFT OUTER JOIN pg_catalog.pg_description d ON d.objoid=c.oid AND d.objsubid=0 AND d.classoid='pg_class'::regclass
WHERE c.relnamespace=$1 AND c.relkind not in ('i','I','c')
--- dbeaver.table $schema_oid $table : orders
SELECT c.oid,c.*,d.description,pg_catalog.pg_get_expr(c.relpartbound, c.oid) as partition_expr, pg_catalog.pg_get_partkeydef(c.oid) as partition_key
FROM pg_catalog.pg_class c
LEFT OUTER JOIN pg_catalog.pg_description d ON d.objoid=c.oid AND d.objsubid=0 AND d.classoid='pg_class'::regclass
WHERE c.relnamespace=$1 AND c.relkind not in ('i','I','c') AND c.relname=$2
--- dbeaver.tables-of-old $schema_oid : customers orders daily
SELECT c.oid,c.*,d.description,(select array_agg(i.inhparent) from pg_catalog.pg_inherits i where i.inhrelid = c.oid) parents
FROM pg_catalog.pg_class c
LEFT OUTER JOIN pg_catalog.pg_description d ON d.objoid=c.oid AND d.objsubid=0
WHERE c.relnamespace=$1 AND c.relkind not in ('i','c')
--- dbeaver.columns $schema_oid : orders amount ordered_at full\ name
SELECT c.relname,a.*,pg_catalog.pg_get_expr(ad.adbin, ad.adrelid, true) as def_value,dsc.description,dep.objid
FROM pg_catalog.pg_attribute a
INNER JOIN pg_catalog.pg_class c ON (a.attrelid=c.oid)
LEFT OUTER JOIN pg_catalog.pg_attrdef ad ON (a.attrelid=ad.adrelid AND a.attnum = ad.adnum)
LEFT OUTER JOIN pg_catalog.pg_description dsc ON (c.oid=dsc.objoid AND a.attnum = dsc.objsubid)
LEFT OUTER JOIN pg_depend dep on dep.refobjid = a.attrelid AND dep.deptype = 'i' and dep.refobjsubid = a.attnum and dep.classid = dep.refclassid
WHERE NOT a.attisdropped AND c.relkind not in ('i','I','c') AND c.relnamespace=$1
ORDER BY a.attnum
--- dbeaver.columns-of-table $table_oid : amount ordered_at tags
SELECT c.relname,a.*,pg_catalog.pg_get_expr(ad.adbin, ad.adrelid, true) as def_value,dsc.description,dep.objid
FROM pg_catalog.pg_attribute a
INNER JOIN pg_catalog.pg_class c ON (a.attrelid=c.oid)
LEFT OUTER JOIN pg_catalog.pg_attrdef ad ON (a.attrelid=ad.adrelid AND a.attnum = ad.adnum)
LEFT OUTER JOIN pg_catalog.pg_description dsc ON (c.oid=dsc.objoid AND a.attnum = dsc.objsubid)
LEFT OUTER JOIN pg_depend dep on dep.refobjid = a.attrelid AND dep.deptype = 'i' and dep.refobjsubid = a.attnum and dep.classid = dep.refclassid
WHERE NOT a.attisdropped AND c.relkind not in ('i','I','c') AND c.oid=$1
ORDER BY a.attnum
--- dbeaver.constraints $schema_oid : orders customers p | f
SELECT c.oid,c.*,t.relname as tabrelname,rt.relnamespace as refnamespace,d.description,
  case when c.contype='c' then "substring"(pg_get_constraintdef(c.oid), 7) else null end consrc_copy
FROM pg_catalog.pg_constraint c
INNER JOIN pg_catalog.pg_class t ON t.oid=c.conrelid
LEFT OUTER JOIN pg_catalog.pg_class rt ON rt.oid=c.confrelid
LEFT OUTER JOIN pg_catalog.pg_description d ON d.objoid=c.oid AND d.objsubid=0 AND d.classoid='pg_constraint'::regclass
WHERE t.relnamespace=$1
ORDER BY c.oid
--- dbeaver.constraints-of-table $table_oid : orders
SELECT c.oid,c.*,t.relname as tabrelname,rt.relnamespace as refnamespace
FROM pg_catalog.pg_constraint c
INNER JOIN pg_catalog.pg_class t ON t.oid=c.conrelid
LEFT OUTER JOIN pg_catalog.pg_class rt ON rt.oid=c.confrelid
WHERE c.conrelid=$1
ORDER BY c.oid
--- dbeaver.references $table_oid
SELECT c.conname, c.conrelid, t.relnamespace FROM pg_catalog.pg_constraint c, pg_catalog.pg_class t
WHERE c.confrelid=$1 AND t.oid=c.conrelid
--- dbeaver.indexes $schema_oid : orders | orders_day
SELECT i.*,i.indkey as keys,c.relname,c.relnamespace,c.relam,c.reltablespace,tc.relname as tabrelname,dsc.description,
  pg_catalog.pg_get_expr(i.indpred, i.indrelid) as pred_expr,
  pg_catalog.pg_get_expr(i.indexprs, i.indrelid, true) as expr,
  pg_catalog.pg_relation_size(i.indexrelid) as index_rel_size,
  pg_catalog.pg_stat_get_numscans(i.indexrelid) as index_num_scans
FROM pg_catalog.pg_index i
INNER JOIN pg_catalog.pg_class c ON c.oid=i.indexrelid
INNER JOIN pg_catalog.pg_class tc ON tc.oid=i.indrelid
LEFT OUTER JOIN pg_catalog.pg_description dsc ON i.indexrelid=dsc.objoid
WHERE c.relnamespace=$1 ORDER BY tabrelname, c.relname
--- dbeaver.inheritance $table_oid
SELECT i.*,c.relnamespace FROM pg_catalog.pg_inherits i,pg_catalog.pg_class c
WHERE i.inhrelid=$1 AND c.oid=i.inhparent ORDER BY i.inhseqno
--- dbeaver.sub-tables $table_oid
SELECT i.*,c.relnamespace,c.relkind,c.relispartition FROM pg_catalog.pg_inherits i,pg_catalog.pg_class c
WHERE i.inhparent=$1 AND c.oid=i.inhrelid
--- dbeaver.procedures $catalog_oid : date_trunc
SELECT p.oid as poid,p.*,pg_catalog.pg_get_expr(proargdefaults, 0) as arg_defaults,d.description
FROM pg_catalog.pg_proc p
LEFT OUTER JOIN pg_catalog.pg_description d ON d.objoid=p.oid AND d.objsubid=0
WHERE p.pronamespace=$1
ORDER BY p.proname
--- dbeaver.triggers $table_oid
SELECT x.oid,x.*,p.pronamespace as func_schema_id,d.description
FROM pg_catalog.pg_trigger x
LEFT OUTER JOIN pg_catalog.pg_proc p ON p.oid=x.tgfoid
LEFT OUTER JOIN pg_catalog.pg_description d ON d.objoid=x.oid AND d.objsubid=0
WHERE x.tgrelid=$1 AND NOT tgisinternal
--- dbeaver.rules $view_oid
SELECT r.oid,r.rulename,r.ev_type,r.ev_enabled,r.is_instead,pg_get_ruledef(r.oid) AS definition FROM pg_catalog.pg_rewrite r WHERE r.ev_class=$1
--- dbeaver.policies
SELECT * FROM pg_catalog.pg_policies WHERE schemaname='{schema}'
--- dbeaver.view-source $view_oid
SELECT pg_get_viewdef($1, true)
--- dbeaver.sequences $schema_oid
SELECT c.relname, s.* FROM pg_catalog.pg_sequence s JOIN pg_catalog.pg_class c ON c.oid=s.seqrelid WHERE c.relnamespace=$1
--- dbeaver.collations $catalog_oid
SELECT c.oid,c.* FROM pg_catalog.pg_collation c WHERE c.collnamespace=$1 ORDER BY c.oid
--- dbeaver.access-methods
SELECT am.oid,am.* FROM pg_catalog.pg_am am ORDER BY am.oid
--- dbeaver.encodings
SELECT c.contoencoding as encid,pg_catalog.pg_encoding_to_char(c.contoencoding) as encname
FROM pg_catalog.pg_conversion c GROUP BY c.contoencoding ORDER BY 2
--- dbeaver.languages
SELECT l.oid,l.* FROM pg_catalog.pg_language l ORDER BY l.oid
--- dbeaver.tablespaces
SELECT t.oid,t.*,pg_tablespace_location(t.oid) loc FROM pg_catalog.pg_tablespace t ORDER BY t.oid
--- dbeaver.extensions
SELECT e.oid,cfg.tbls,n.nspname as schema_name,e.*
FROM pg_catalog.pg_extension e
JOIN pg_namespace n on n.oid=e.extnamespace
LEFT JOIN (SELECT ARRAY_AGG(ns.nspname || '.' || cls.relname) tbls, oid_ext
  FROM (SELECT unnest(e1.extconfig) oid, e1.oid oid_ext FROM pg_catalog.pg_extension e1) c
  JOIN pg_class cls on cls.oid = c.oid
  JOIN pg_namespace ns on ns.oid = cls.relnamespace
  GROUP BY oid_ext) cfg on cfg.oid_ext = e.oid
ORDER BY e.oid
--- dbeaver.available-extensions
SELECT name, default_version, installed_version, comment FROM pg_catalog.pg_available_extensions ORDER BY name
--- dbeaver.wrappers
SELECT l.oid,l.*,p.pronamespace as handler_schema_id FROM pg_catalog.pg_foreign_data_wrapper l
LEFT OUTER JOIN pg_catalog.pg_proc p ON p.oid=l.fdwhandler ORDER BY l.fdwname
--- dbeaver.servers
SELECT l.oid,l.* FROM pg_catalog.pg_foreign_server l ORDER BY l.srvname
--- dbeaver.event-triggers
SELECT det.oid,det.*,ds.description FROM pg_catalog.pg_event_trigger det
LEFT OUTER JOIN pg_catalog.pg_description ds ON det.oid=ds.objoid ORDER BY det.evtname
--- dbeaver.sessions
SELECT sa.* FROM pg_catalog.pg_stat_activity sa
--- dbeaver.locks
SELECT l.locktype, l.mode, l.granted, l.pid, c.relname FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_class c ON c.oid = l.relation
--- dbeaver.sizes $schema_oid : orders
SELECT c.oid,c.relname,pg_catalog.pg_total_relation_size(c.oid) as total_rel_size,pg_catalog.pg_relation_size(c.oid) as rel_size
FROM pg_class c WHERE c.relnamespace=$1
--- dbeaver.database-size $db
SELECT pg_catalog.pg_database_size($1)
--- dbeaver.privileges $db $schema $table : SELECT
SELECT * FROM information_schema.table_privileges WHERE table_catalog=$1 AND table_schema=$2 AND table_name=$3
--- dbeaver.relation-acl $schema_oid
SELECT c.relname, c.relacl FROM pg_catalog.pg_class c WHERE c.relnamespace=$1
--- dbeaver.dependencies $table_oid
SELECT DISTINCT dep.deptype, dep.classid, dep.objid, cl.relkind, attr.attname, pg_get_expr(ad.adbin, ad.adrelid) adefval,
  CASE WHEN cl.relkind IS NOT NULL THEN cl.relkind::text || COALESCE(dep.objsubid::text, '')
    WHEN tg.oid IS NOT NULL THEN 'T'::text WHEN co.oid IS NOT NULL THEN 'C' || co.contype::text
    WHEN rw.oid IS NOT NULL THEN 'R'::text ELSE '' END AS type,
  COALESCE(coc.relname, clrw.relname) AS ownertable,
  CASE WHEN cl.relname IS NOT NULL OR attr.attname IS NOT NULL THEN cl.relname || COALESCE('.' || attr.attname, '')
    ELSE COALESCE(cl.relname, co.conname, tg.tgname, rw.rulename) END AS refname,
  COALESCE(nsc.nspname, nso.nspname, nsrw.nspname) AS nspname
FROM pg_depend dep
LEFT JOIN pg_class cl ON dep.objid=cl.oid
LEFT JOIN pg_attribute attr ON dep.objid=attr.attrelid AND dep.objsubid=attr.attnum
LEFT JOIN pg_namespace nsc ON cl.relnamespace=nsc.oid
LEFT JOIN pg_trigger tg ON dep.objid=tg.oid
LEFT JOIN pg_constraint co ON dep.objid=co.oid
LEFT JOIN pg_class coc ON co.conrelid=coc.oid
LEFT JOIN pg_namespace nso ON co.connamespace=nso.oid
LEFT JOIN pg_rewrite rw ON dep.objid=rw.oid
LEFT JOIN pg_class clrw ON clrw.oid=rw.ev_class
LEFT JOIN pg_namespace nsrw ON clrw.relnamespace=nsrw.oid
LEFT JOIN pg_attrdef ad ON ad.oid=dep.objid
WHERE dep.refobjid=$1
ORDER BY dep.objid
--- dbeaver.search-tables $pattern : orders
SELECT DISTINCT x.oid,x.relname,x.relnamespace,x.relkind FROM pg_catalog.pg_class x
WHERE x.relkind in('r','v','m','p','f') AND x.relname ILIKE $1 ORDER BY x.relname LIMIT 100
--- dbeaver.search-columns $column : amount
SELECT DISTINCT x.attname,x.attrelid,x.atttypid,c.relnamespace FROM pg_catalog.pg_attribute x, pg_catalog.pg_class c
WHERE c.oid=x.attrelid AND x.attname LIKE $1 ORDER BY x.attname LIMIT 100
--- dbeaver.set-path
SET search_path = {schema},"$user",public
--- dbeaver.data : new
SELECT x.* FROM {schema}.orders x ORDER BY x.id LIMIT 200
--- dbeaver.count : 9000
SELECT count(*) FROM {schema}.orders
--- dbeaver.filtered : 0.20
SELECT x.* FROM {schema}.orders x WHERE status = 'done' AND "day" = '2024-01-01' ORDER BY amount LIMIT 200

-- Grafana: its health check, the lists of its query builder, and variables. Its time series are in tools_probe.py.
--- grafana.health : 1
SELECT 1
--- grafana.version : 1500
SELECT current_setting('server_version_num')::int/100 as version
--- grafana.timescaledb
SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'
--- grafana.schemas : {schema}
SELECT schema_name AS "name" FROM information_schema.schemata
WHERE schema_name NOT IN ('information_schema', 'pg_catalog', 'pg_toast', 'timescaledb_information')
ORDER BY schema_name
--- grafana.tables-of-schema : customers orders
SELECT quote_ident(table_name) AS "table" FROM information_schema.tables
WHERE quote_ident(table_schema) = '{schema}'
ORDER BY 1
--- grafana.tables : {schema}.customers {schema}.orders
SELECT
  CASE WHEN quote_ident(table_schema) IN (
      SELECT CASE WHEN trim(s[i]) = '"$user"' THEN user ELSE trim(s[i]) END
      FROM generate_series(
        array_lower(string_to_array(current_setting('search_path'),','),1),
        array_upper(string_to_array(current_setting('search_path'),','),1)) as i,
      string_to_array(current_setting('search_path'),',') s)
    THEN quote_ident(table_name)
    ELSE quote_ident(table_schema) || '.' || quote_ident(table_name)
  END AS "table"
FROM information_schema.tables
WHERE quote_ident(table_schema) NOT IN ('information_schema', 'pg_catalog', 'timescaledb_information')
ORDER BY CASE WHEN quote_ident(table_schema) IN (
      SELECT CASE WHEN trim(s[i]) = '"$user"' THEN user ELSE trim(s[i]) END
      FROM generate_series(
        array_lower(string_to_array(current_setting('search_path'),','),1),
        array_upper(string_to_array(current_setting('search_path'),','),1)) as i,
      string_to_array(current_setting('search_path'),',') s)
    THEN 0 ELSE 1 END, 1
--- grafana.columns : amount numeric ordered_at timestamp\ with\ time\ zone
SELECT quote_ident(column_name) AS "column", data_type AS "type"
FROM information_schema.columns
WHERE
  CASE WHEN array_length(parse_ident('{schema}.orders'),1) = 2
    THEN quote_ident(table_schema) = (parse_ident('{schema}.orders'))[1]
      AND quote_ident(table_name) = (parse_ident('{schema}.orders'))[2]
    ELSE quote_ident(table_name) = '{schema}.orders'
      AND quote_ident(table_schema) IN (
        SELECT CASE WHEN trim(s[i]) = '"$user"' THEN user ELSE trim(s[i]) END
        FROM generate_series(
          array_lower(string_to_array(current_setting('search_path'),','),1),
          array_upper(string_to_array(current_setting('search_path'),','),1)) as i,
        string_to_array(current_setting('search_path'),',') s)
  END
--- grafana.tables-in-path
SELECT quote_ident(table_name) AS "table" FROM information_schema.tables
WHERE table_schema = ANY (current_schemas(false)) ORDER BY 1
--- grafana.variable : new sent done
SELECT DISTINCT status AS __text, status AS __value FROM {schema}.orders ORDER BY 1
