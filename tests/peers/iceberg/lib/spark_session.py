"""A local[2] Spark in this process, whose default catalog is the REST catalog."""
import logging
import os
import sys


def session(uri, jars, properties):
    """jars are files; properties go to the catalog, such as warehouse or token. SPARK_HEAP is the memory of its JVM."""
    # The address has to be set before anything of Spark is loaded.
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    os.environ["PYSPARK_PYTHON"] = sys.executable
    from pyspark.sql import SparkSession

    logging.getLogger("SQLQueryContextLogger").disabled = True
    catalog = {"type": "rest", "uri": uri, "cache-enabled": "false", **properties}
    settings = {
        "jars": ",".join(jars),
        "driver.memory": os.environ.get("SPARK_HEAP", "1500m"),
        "driver.host": "127.0.0.1",
        "ui.enabled": "false",
        "ui.showConsoleProgress": "false",
        "log.level": "OFF",
        "sql.shuffle.partitions": "2",
        "sql.session.timeZone": "UTC",
        "sql.extensions": "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions",
        "sql.defaultCatalog": "tw",
        "sql.catalog.tw": "org.apache.iceberg.spark.SparkCatalog",
        **{f"sql.catalog.tw.{key}": value for key, value in catalog.items()},
    }
    builder = SparkSession.builder.master("local[2]").appName("tidewater")
    for key, value in settings.items():
        builder = builder.config("spark." + key, value)
    return builder.getOrCreate()
