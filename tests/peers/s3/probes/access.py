"""PyIceberg against catalogs whose warehouse lies in S3: access.py CATALOG_WITH_STS_AND_SIGNING CATALOG_WITH_STATIC_KEYS S3_ENDPOINT

Needs no namespace probe_s3. The keys that PyIceberg works with all come from the catalog.
"""
import sys
import time

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import pyarrow as pa
import requests
from pyiceberg.catalog import load_catalog

STS, STATIC, S3 = sys.argv[1:4]
ROWS = pa.table({"id": pa.array([1, 2, 3], pa.int64()), "name": ["a", "b", "c"]})


def connect(uri, delegation):
    return load_catalog("s3", **{"type": "rest", "uri": uri, "header.X-Iceberg-Access-Delegation": delegation})


def load(uri, table, delegation):
    answer = requests.get(f"{uri}/v1/namespaces/probe_s3/tables/{table}", headers={"X-Iceberg-Access-Delegation": delegation})
    assert answer.status_code == 200, answer.text
    return answer.json()


def round_trip(catalog, name):
    table = catalog.create_table(("probe_s3", name), ROWS.schema)
    table.append(ROWS)
    table.append(ROWS)
    again = catalog.load_table(("probe_s3", name))
    assert sorted(again.scan().to_arrow()["id"].to_pylist()) == [1, 1, 2, 2, 3, 3]
    again.delete("id = 2")
    assert sorted(catalog.load_table(("probe_s3", name)).scan().to_arrow()["id"].to_pylist()) == [1, 1, 3, 3]
    return again


def vended():
    catalog = connect(STS, "vended-credentials")
    catalog.create_namespace("probe_s3")
    table = round_trip(catalog, "a b-ü")
    other = round_trip(catalog, "other")
    keys = set()
    for one in (table, other):
        loaded = load(STS, one.name()[1], "vended-credentials")
        (credential,) = loaded["storage-credentials"]
        assert credential["prefix"] == one.location() + "/", credential["prefix"]
        config = credential["config"]
        assert config["s3.session-token"] and config["s3.secret-access-key"] != "owner-secret"
        left_ms = int(config["s3.session-token-expires-at-ms"]) - time.time() * 1000
        assert 0 < left_ms <= 3_600_000, left_ms
        refreshed = requests.get(f"{STS}/{config['client.refresh-credentials-endpoint']}").json()["storage-credentials"]
        assert refreshed[0]["prefix"] == credential["prefix"] and refreshed[0]["config"]["s3.session-token"]
        keys.add(config["s3.access-key-id"])
    assert len(keys) == 2, "two tables share a session"
    assert "storage-credentials" not in load(STS, "other", "")
    server = load_catalog("s3", **{"type": "rest", "uri": STS, "scan-planning-mode": "server"})
    assert server.load_table(("probe_s3", "other")).scan(row_filter="id > 1").to_arrow().num_rows == 2
    assert requests.get(f"{STS}/v1/namespaces/probe_s3/tables/none/credentials").status_code == 404


def signing():
    catalog = connect(STS, "remote-signing")
    table = round_trip(catalog, "signed")
    loaded = load(STS, "signed", "remote-signing")
    assert "storage-credentials" not in loaded and "s3.access-key-id" not in loaded["config"]
    assert type(table.io).__name__ == "FsspecFileIO"
    endpoint = f"{STS}/{loaded['config']['s3.signer.endpoint']}"
    inside = table.current_snapshot().manifest_list.replace("s3://", S3 + "/")
    beyond = catalog.load_table(("probe_s3", "other")).metadata_location.replace("s3://", S3 + "/")

    def sign(uri, method="GET", **more):
        return requests.post(endpoint, json={"method": method, "region": "us-east-1", "uri": uri, "headers": {}, **more})

    answer = sign(inside)
    assert answer.status_code == 200, answer.text
    headers = {name: ",".join(value) for name, value in answer.json()["headers"].items()}
    assert requests.get(answer.json()["uri"], headers=headers).status_code == 200
    # The same signature by Amazon's own library.
    request = botocore.awsrequest.AWSRequest("GET", inside, headers={"x-amz-content-sha256": headers["x-amz-content-sha256"]})
    request.context["timestamp"] = headers["x-amz-date"]
    theirs = botocore.auth.S3SigV4Auth(botocore.credentials.Credentials("owner", "owner-secret"), "s3", "us-east-1")
    request.headers["X-Amz-Date"] = headers["x-amz-date"]
    signature = theirs.signature(theirs.string_to_sign(request, theirs.canonical_request(request)), request)
    assert headers["authorization"].endswith(signature), "another signature than botocore's"
    for uri, method in [(beyond, "GET"), (beyond, "PUT"), (beyond, "DELETE"), (f"{S3}/lake?list-type=2", "GET"), (f"{S3}/lake", "DELETE")]:
        refused = sign(uri, method)
        assert (refused.status_code, refused.json()["error"]["type"]) == (403, "ForbiddenException"), f"{method} {uri}: {refused.text}"


def static():
    catalog = connect(STATIC, "vended-credentials")
    catalog.create_namespace("probe_s3")
    round_trip(catalog, "fixed")
    loaded = load(STATIC, "fixed", "vended-credentials")
    (credential,) = loaded["storage-credentials"]
    assert credential["config"]["s3.access-key-id"] == "fixed" and credential["config"]["s3.session-token-expires-at-ms"]
    assert "owner-secret" not in str(loaded)


failed = 0
for check in (vended, signing, static):
    try:
        check()
        print(f"ok    {check.__name__}")
    except Exception as error:  # noqa: BLE001 - each check is told
        failed += 1
        print(f"FAIL  {check.__name__}: {type(error).__name__}: {error}")
sys.exit(1 if failed else 0)
