#!/usr/bin/env bash
# psql_probe.sh HOST PORT DB USER PASSWORD [SCHEMA]: the backslash commands and COPY of psql against a PostgreSQL-wire endpoint.
# LACKS=REGEX names the checks whose answer may lack what they look for, but whose statements must run; fewer than MIN checks that
# passed or were excused are a failure.
set -euo pipefail
host=$1 port=$2 db=$3 user=$4 schema=${6:-toy}
export PGPASSWORD=$5 PGCONNECT_TIMEOUT=10 PAGER=
passed=0 failed=0 excused=0
sql() { timeout 60 psql -X -v ON_ERROR_STOP=1 -h "$host" -p "$port" -U "$user" -d "$db" "$@" 2>&1; }
check() { # NAME REGEX COMMAND...: the output must match
  local name=$1 want=$2 out rc=0; shift 2
  out=$("$@") || rc=$?
  if [ $rc = 0 ] && grep -qE -- "$want" <<< "$out"; then
    passed=$((passed + 1)); echo "ok   $name"
  elif [ $rc = 0 ] && ! grep -q ERROR: <<< "$out" && grep -qxE -- "${LACKS:-^$}" <<< "$name"; then
    excused=$((excused + 1)); echo "info $name"
  else
    failed=$((failed + 1)); echo "FAIL $name (exit $rc): $(head -c 200 <<< "$out" | tr '\n' ' ')"
  fi
}
meta() { check "psql $1" "$2" sql -c "$1"; }
meta '\conninfo' connected
meta '\l' "$db"
meta '\dn' "$schema"
meta "\\dt $schema.*" orders
meta "\\d $schema.orders" 'amount .*numeric\(12,2\)'
meta "\\d+ $schema.customers" 'full name'
meta "\\dv $schema.*" daily
meta "\\di $schema.*" orders_day
meta "\\df *date_trunc*" date_trunc
meta "\\dT $schema.*" mood
meta '\du' "$user"
meta "\\dp $schema.orders" orders
meta '\dt *.*' orders
check 'psql \timing' 'Time: [0-9.]+ ms' sql -c '\timing on' -c 'SELECT 1'
check 'psql \gdesc' 'numeric' sql -f <(echo "SELECT amount FROM $schema.orders \gdesc")
check 'psql \x' 'RECORD 1' sql -x -c "SELECT * FROM $schema.orders LIMIT 1"
check 'psql copy out' '^1,' sql -c "COPY (SELECT id, name FROM $schema.customers ORDER BY id LIMIT 3) TO STDOUT WITH (FORMAT csv)"
check 'psql \copy' '^COPY 100$' sql -c "\\copy (SELECT * FROM $schema.customers) TO '/dev/null' WITH (FORMAT csv, HEADER)"
check 'psql csv' '^id,name$' sql --csv -c "SELECT id, name FROM $schema.customers LIMIT 1"
check 'psql FETCH_COUNT' '^8999$' sql -At -v FETCH_COUNT=1000 -c "SELECT id FROM $schema.orders ORDER BY id"
check 'psql multi-statement' '^2$' sql -At -c 'SELECT 1; SELECT 2'
check 'psql transaction' '^COMMIT$' sql -c BEGIN -c 'SELECT 1' -c COMMIT
check 'psql error text' 'ERROR: .*nope' bash -c "PGPASSWORD='$PGPASSWORD' psql -X -h '$host' -p '$port' -U '$user' -d '$db' -c 'SELECT nope' 2>&1 || true"
if [ $((passed + excused)) -lt "${MIN:-0}" ]; then failed=$((failed + 1)); echo "FAIL least: $((passed + excused)) checks passed or were excused, not $MIN"; fi
echo "$excused informational"
echo "$passed passed, $failed failed"
[ $failed = 0 ]
