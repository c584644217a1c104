import java.io.PrintStream;
import java.math.BigDecimal;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.LocalTime;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.apache.hadoop.conf.Configuration;
import org.apache.iceberg.DataFile;
import org.apache.iceberg.DataFiles;
import org.apache.iceberg.DeleteFile;
import org.apache.iceberg.FileFormat;
import org.apache.iceberg.PartitionKey;
import org.apache.iceberg.PartitionSpec;
import org.apache.iceberg.RowDelta;
import org.apache.iceberg.Schema;
import org.apache.iceberg.Snapshot;
import org.apache.iceberg.StructLike;
import org.apache.iceberg.Table;
import org.apache.iceberg.catalog.Namespace;
import org.apache.iceberg.catalog.TableIdentifier;
import org.apache.iceberg.data.GenericFileWriterFactory;
import org.apache.iceberg.data.GenericRecord;
import org.apache.iceberg.data.IcebergGenerics;
import org.apache.iceberg.data.InternalRecordWrapper;
import org.apache.iceberg.data.Record;
import org.apache.iceberg.deletes.BaseDVFileWriter;
import org.apache.iceberg.deletes.PositionDelete;
import org.apache.iceberg.encryption.EncryptedFiles;
import org.apache.iceberg.encryption.EncryptedOutputFile;
import org.apache.iceberg.expressions.Expression;
import org.apache.iceberg.expressions.Expressions;
import org.apache.iceberg.expressions.Literal;
import org.apache.iceberg.io.CloseableIterable;
import org.apache.iceberg.io.OutputFileFactory;
import org.apache.iceberg.rest.RESTCatalog;
import org.apache.iceberg.types.Type;
import org.apache.iceberg.types.Types;
import org.apache.iceberg.types.Types.NestedField;

/**
 * Equality deletes, written and read by the reference implementation: EqualityDeletes.java write|after|read URI NAMESPACE DIR [key=value ...]
 *
 * <p>`write` makes the tables and `after` deletes once more from some of them. Both end as `read` does: DIR gets a file of sorted rows for every
 * question about a table, and DIR/index a line for each: table, file, and what a SELECT of the same says behind the table's name. Rows that the program
 * worked out itself are in FILE.want; those of Java's reader are in FILE, or its error behind a `!`.
 */
public class EqualityDeletes {
  static RESTCatalog catalog;
  static Namespace namespace;
  static Path out;
  static PrintStream index;

  public static void main(String[] args) throws Exception {
    namespace = Namespace.of(args[2]);
    out = Path.of(args[3]);
    Map<String, String> properties = new HashMap<>(Map.of("uri", args[1], "io-impl", "org.apache.iceberg.hadoop.HadoopFileIO"));
    Stream.of(args).skip(4).map(pair -> pair.split("=", 2)).forEach(pair -> properties.put(pair[0], pair[1]));
    catalog = new RESTCatalog();
    catalog.setConf(new Configuration());
    catalog.initialize("lake", properties);
    Files.createDirectories(out);
    index = new PrintStream(out.resolve("index").toFile(), "UTF-8");
    if (args[0].equals("write")) {
      if (catalog.namespaceExists(namespace)) {
        catalog.listTables(namespace).forEach(table -> catalog.dropTable(table, true));
      } else {
        catalog.createNamespace(namespace);
      }
    }
    scenarios(args[0]);
    index.close();
    catalog.close();
    System.exit(0);
  }

  // --- the tables; a scenario writes only in the mode `write`, and asks always

  static void scenarios(String mode) throws Exception {
    boolean write = mode.equals("write");
    boolean after = mode.equals("after");

    try (Lake lake = lake("one_int", schema("id int", "name string"))) {
      if (write) {
        lake.create().add(numbered(1, 10)).add(numbered(11, 20)).commit();
        lake.delete("id", row(3), row(7), row(20), row(99)).commit();
      }
      if (after) {
        lake.delete("id", row(1), row(11)).commit();
      }
      lake.ask("id < 8", less("id", 8));
      lake.ask("name = 'n7'", Expressions.equal("name", "n7"));
      lake.ask("name = 'n8'", Expressions.equal("name", "n8"));
      lake.snapshots();
    }

    // A delete applies to data of lower sequence numbers only.
    try (Lake lake = lake("sequences", schema("id int", "v string"))) {
      if (write) {
        lake.create().add(row(1, "a"), row(2, "a"), row(3, "a"), row(4, "a"), row(5, "a")).commit();
        lake.delete("id", row(2), row(4)).commit();
        lake.add(row(2, "b")).commit();
        lake.delete("id", row(2)).commit();
        lake.add(row(2, "c")).commit();
        // In one commit: the delete is for the old row of 1, not for the new one.
        lake.delete("id", row(1)).add(row(1, "b")).commit();
        // As Flink writes: of the two new rows of 6 in one commit, the first is deleted by its position.
        lake.delete("id", row(6), row(5)).add(row(6, "x"), row(6, "y"), row(5, "b")).deletePosition(lake.last(), 0).commit();
        lake.add(row(4, "b"), row(7, "a")).commit();
        lake.delete("id", row(7)).commit();
        lake.delete("id", row(3)).commit();
        lake.add(row(3, "b")).commit();
        lake.want("1 | \"b\"", "2 | \"c\"", "3 | \"b\"", "4 | \"b\"", "5 | \"b\"", "6 | \"y\"");
      }
      if (after) {
        lake.delete("id", row(3), row(6)).add(row(6, "z"), row(4, "c")).commit();
      }
      lake.ask("id = 2", Expressions.equal("id", 2));
      lake.ask("v = 'a'", Expressions.equal("v", "a"));
      lake.ask("v = 'b' AND id >= 3", Expressions.and(Expressions.equal("v", "b"), Expressions.greaterThanOrEqual("id", 3)));
      lake.snapshots();
    }

    // Every commit deletes and writes the same keys.
    try (Lake lake = lake("upserts", schema("id long", "round int"))) {
      if (write) {
        lake.create();
        for (int round = 1; round <= 12; round++) {
          int at = round;
          Object[][] rows = IntStream.range(0, 20).filter(id -> (id + at) % 3 != 0).mapToObj(id -> row((long) id, at)).toArray(Object[][]::new);
          lake.delete("id", Stream.of(rows).map(each -> row(each[0])).toArray(Object[][]::new)).add(rows).commit();
        }
      }
      if (after) {
        lake.delete("id", row(0L), row(1L)).add(row(1L, 100)).commit();
      }
      lake.ask("round = 12", Expressions.equal("round", 12));
      lake.ask("id < 5", less("id", 5L));
      lake.snapshots();
    }

    try (Lake lake = lake("two_columns", schema("a int", "b string", "c long"))) {
      if (write) {
        lake.create().add(row(1, "x", 1L), row(1, "y", 2L), row(2, "x", 3L), row(2, null, 4L), row(null, "z", 5L), row(null, null, 6L), row(1, null, 7L)).commit();
        lake.delete("a,b", row(1, "x"), row(2, null), row(null, "z"), row(2, "y")).commit();
        lake.add(row(1, "x", 8L), row(null, "z", 9L)).commit();
        lake.want("1 | \"y\" | 2", "2 | \"x\" | 3", "null | null | 6", "1 | null | 7", "1 | \"x\" | 8", "null | \"z\" | 9");
      }
      if (after) {
        lake.delete("b,a", row("y", 1), row(null, null)).commit();
      }
      lake.ask("b = 'x'", Expressions.equal("b", "x"));
      lake.ask("a IS NULL", Expressions.isNull("a"));
      lake.ask("c > 5", Expressions.greaterThan("c", 5L));
      lake.snapshots();
    }

    // --- types of keys: every second value is deleted, and once more all of those with null
    String shared = "the same first twenty bytes and more ";
    typed("string", write, "k = 'zoë'", Expressions.equal("k", "zoë"),
        "", "a", "A", "zoë", "zoe\u0308", "日本", "𝄞", shared + "1", shared + "2", shared + "3", " a", "a ", "null", "it's");
    typed("boolean", write, "k = true", Expressions.equal("k", true), true, false);
    typed("int", write, "k < 0", less("k", 0), Integer.MIN_VALUE, -1, 0, 1, Integer.MAX_VALUE);
    typed("long", write, "k < 0", less("k", 0L), Long.MIN_VALUE, -1L, 0L, 1L, Long.MAX_VALUE, 1L << 53, (1L << 53) + 1);
    typed("float", write, "id < 5", less("id", 5L),
        Float.NaN, 0f, -0f, 1.5f, -1.5f, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY, Float.MIN_VALUE);
    typed("double", write, "id < 5", less("id", 5L),
        Double.NaN, 0d, -0d, 1.5, -1.5, Double.POSITIVE_INFINITY, Double.NEGATIVE_INFINITY, Double.MIN_NORMAL, 0.125);
    typed("decimal(9,2)", write, "k = 0.00", Expressions.equal("k", new BigDecimal("0.00")), decimals("1.10", "-1.10", "0.00", "9999999.99", "-9999999.99", "0.01"));
    typed("decimal(18,4)", write, "k < 0", less("k", new BigDecimal("0.0000")), decimals("1.1000", "-1.1000", "0.0000", "99999999999999.9999", "-0.0001"));
    typed("decimal(38,10)", write, "k < 0", less("k", new BigDecimal("0.0000000000")),
        decimals("1.0000000000", "-1.0000000000", "0.0000000000", "9999999999999999999999999999.9999999999", "-9999999999999999999999999999.9999999999"));
    typed("date", write, "k = DATE '1969-12-31'", Expressions.equal("k", "1969-12-31"),
        LocalDate.of(2024, 2, 29), LocalDate.of(1969, 12, 31), LocalDate.of(1970, 1, 1), LocalDate.of(9999, 12, 31), LocalDate.of(1, 1, 1));
    typed("time", write, "id < 3", less("id", 3L),
        LocalTime.of(0, 0), LocalTime.of(23, 59, 59, 999_999_000), LocalTime.of(12, 0, 0, 1000), LocalTime.of(12, 0));
    LocalDateTime noon = LocalDateTime.of(2024, 2, 29, 12, 0);
    LocalDateTime[] times = {noon, noon.plusNanos(1000), noon.minusNanos(1000), LocalDateTime.of(1969, 12, 31, 23, 59, 59, 999_999_000), LocalDateTime.of(1970, 1, 1, 0, 0)};
    typed("timestamp", write, "k < TIMESTAMP '1970-01-01 00:00:00'", less("k", "1970-01-01T00:00:00"), (Object[]) times);
    typed("timestamptz", write, "k > TIMESTAMPTZ '2024-02-29 12:00:00+00'", Expressions.greaterThan("k", "2024-02-29T12:00:00+00:00"),
        Stream.of(times).map(each -> each.atOffset(ZoneOffset.UTC)).toArray());
    typed("binary", write, "id < 3", less("id", 3L), bytes(""), bytes("00"), bytes("0000"), bytes("ff"), bytes("80"), bytes("ff".repeat(30)), bytes("ff".repeat(30) + "00"));
    typed("fixed[4]", write, "id < 3", less("id", 3L), fixed("00000000"), fixed("00000001"), fixed("ffffffff"), fixed("80000000"));
    typed("uuid", write, "id < 3", less("id", 3L),
        new UUID(0, 0), new UUID(0, 1), new UUID(1, -1), UUID.fromString("747ac10b-58cc-4372-a567-0e02b2c3d479"), UUID.fromString("74c0ac1f-58cc-4372-a567-0e02b2c3d479"));
    // Java 1.12 takes the bounds of these for those of other files, see equality_deletes.py.
    typed("uuid", "_high", write, "k IS NOT NULL", Expressions.notNull("k"),
        new UUID(0, 0), new UUID(0, 1), new UUID(-1, -1), UUID.fromString("f47ac10b-58cc-4372-a567-0e02b2c3d479"), UUID.fromString("74c0ac1f-58cc-4372-a567-0e02b2c3d479"));
    try (Lake lake = lake("type_fixed_two", schema("id long", "k fixed[4]"))) {
      if (write) {
        lake.create().add(row(1L, fixed("00000001")), row(2L, fixed("00000002")), row(3L, fixed("00000003"))).commit();
        lake.delete("k", row(fixed("00000001")), row(fixed("00000002"))).commit();
        lake.want("3 | 00000003");
      }
    }
    typed("timestamp_ns", write, "id < 3", less("id", 3L), noon, noon.plusNanos(1), noon.plusNanos(2), noon.minusNanos(1));
    typed("timestamptz_ns", write, "id < 3", less("id", 3L),
        Stream.of(noon, noon.plusNanos(1), noon.plusNanos(2), noon.minusNanos(1)).map(each -> each.atOffset(ZoneOffset.UTC)).toArray());

    // Doubles that the caller's file holds, among them NaN with other bits than Java's.
    if (Files.exists(out.resolve("doubles.parquet")) || !write) {
      try (Lake lake = lake("other_nan", schema("id long", "k double"))) {
        if (write) {
          lake.create();
          Path to = Path.of(lake.table.location().replaceFirst("^file:(//)?", ""), "data", "doubles.parquet");
          Files.createDirectories(to.getParent());
          Files.copy(out.resolve("doubles.parquet"), to);
          lake.table.newAppend().appendFile(DataFiles.builder(lake.table.spec()).withPath(lake.table.location() + "/data/doubles.parquet").withFormat(FileFormat.PARQUET)
              .withFileSizeInBytes(Files.size(to)).withRecordCount(6).build()).commit();
          lake.delete("k", row(Double.NaN)).commit();
        }
        lake.ask("id > 2", Expressions.greaterThan("id", 2L));
      }
    }

    // --- null
    try (Lake lake = lake("nulls", schema("id int", "k int"))) {
      if (write) {
        lake.create().add(row(1, null), row(2, 1), row(3, null), row(4, 2)).add(row(5, 1), row(6, 2)).add(row(7, null), row(8, null)).commit();
        lake.delete("k", row((Object) null)).commit();
        lake.add(row(9, null), row(10, 1)).commit();
        lake.delete("k", row(1)).commit();
        lake.want("4 | 2", "6 | 2", "9 | null");
      }
      if (after) {
        lake.delete("k", row((Object) null), row(2)).commit();
      }
      lake.ask("k IS NULL", Expressions.isNull("k"));
      lake.ask("k IS NOT NULL", Expressions.notNull("k"));
      lake.ask("k = 1", Expressions.equal("k", 1));
      lake.snapshots();
    }
    try (Lake lake = lake("nulls_by_all", schema("a int", "b string", "c double"))) {
      if (write) {
        lake.create().add(row(null, null, null), row(null, null, 1.0), row(null, "x", null), row(1, null, null), row(1, "x", 1.0), row(1, "x", null)).commit();
        lake.delete("a,b,c", row(null, null, null), row(1, "x", null)).commit();
        lake.want("null | null | 1.0", "null | \"x\" | null", "1 | null | null", "1 | \"x\" | 1.0");
      }
      lake.ask("b IS NULL", Expressions.isNull("b"));
    }
    try (Lake lake = lake("no_metrics", schema("id int", "k string"), "write.metadata.metrics.default", "none", "write.delete.format.default", "parquet")) {
      if (write) {
        lake.create().add(row(1, "a"), row(2, "b"), row(3, null)).commit();
        lake.delete("k", row("b"), row((Object) null)).commit();
        lake.want("1 | \"a\"");
      }
      lake.ask("k = 'b'", Expressions.equal("k", "b"));
    }
    try (Lake lake = lake("all_gone", schema("id int", "k string"))) {
      if (write) {
        lake.create().add(row(1, "a"), row(2, "b")).commit();
        lake.delete("id", row(1), row(2)).commit();
        lake.want();
      }
      lake.ask("k = 'b'", Expressions.equal("k", "b"));
    }

    // --- partitions
    Schema parted = schema("p string", "id int", "v string");
    try (Lake lake = lake("part_identity", parted, PartitionSpec.builderFor(parted).identity("p").build())) {
      if (write) {
        lake.create().add(row("a", 1, "x"), row("a", 2, "x"), row("b", 1, "x"), row("b", 2, "x"), row(null, 1, "x"), row(null, 2, "x"), row("", 1, "x")).commit();
        lake.deleteIn(row("a", 1, null), "id", row(1)).deleteIn(row(null, 1, null), "id", row(2)).commit();
        lake.want("\"a\" | 2 | \"x\"", "\"b\" | 1 | \"x\"", "\"b\" | 2 | \"x\"", "null | 1 | \"x\"", "\"\" | 1 | \"x\"");
      }
      if (after) {
        lake.deleteIn(row("b", 1, null), "id", row(2), row(1)).commit();
      }
      lake.ask("id = 1", Expressions.equal("id", 1));
      lake.ask("p IS NULL", Expressions.isNull("p"));
      lake.ask("p = 'a' AND id = 2", Expressions.and(Expressions.equal("p", "a"), Expressions.equal("id", 2)));
      lake.snapshots();
    }
    Schema bucketed = schema("id long", "v string");
    try (Lake lake = lake("part_bucket", bucketed, PartitionSpec.builderFor(bucketed).bucket("id", 4).build())) {
      if (write) {
        lake.create().add(IntStream.range(0, 40).mapToObj(id -> row((long) id, "v" + id % 5)).toArray(Object[][]::new)).add(row(null, "v0")).commit();
        for (long id : new long[] {0, 7, 13, 39, 50}) {
          lake.deleteIn(row(id, null), "id", row(id));
        }
        lake.commit();
        // What one bucket's delete file says of another's rows is not heard.
        lake.deleteIn(row(3L, null), "v", row("v1")).deleteIn(row(null, null), "id", row((Object) null)).commit();
      }
      if (after) {
        lake.deleteIn(row(20L, null), "id", row(20L)).commit();
      }
      lake.ask("v = 'v1'", Expressions.equal("v", "v1"));
      lake.ask("id BETWEEN 5 AND 15", Expressions.and(Expressions.greaterThanOrEqual("id", 5L), Expressions.lessThanOrEqual("id", 15L)));
      lake.snapshots();
    }
    Schema dated = schema("ts timestamptz", "name string", "id int");
    OffsetDateTime day = OffsetDateTime.of(1969, 12, 31, 23, 0, 0, 0, ZoneOffset.UTC);
    try (Lake lake = lake("part_day_truncate", dated, PartitionSpec.builderFor(dated).day("ts").truncate("name", 2).build())) {
      if (write) {
        lake.create().add(row(day, "abc", 1), row(day, "abd", 2), row(day.plusHours(2), "abc", 3), row(day.plusHours(3), "xy", 4), row(null, "abc", 5)).commit();
        lake.deleteIn(row(day, "ab", 0), "name", row("abc"), row("xy")).commit();
        lake.want("1969-12-31T23:00:00.000000000 | \"abd\" | 2", "1970-01-01T01:00:00.000000000 | \"abc\" | 3", "1970-01-01T02:00:00.000000000 | \"xy\" | 4", "null | \"abc\" | 5");
      }
      lake.ask("name = 'abc'", Expressions.equal("name", "abc"));
    }
    Schema floating = schema("p double", "id int");
    try (Lake lake = lake("part_double", floating, PartitionSpec.builderFor(floating).identity("p").build())) {
      if (write) {
        lake.create().add(row(Double.NaN, 1), row(Double.NaN, 2), row(0.5, 1), row(0.5, 2), row(null, 1), row(null, 2), row(Double.POSITIVE_INFINITY, 1), row(Double.POSITIVE_INFINITY, 2)).commit();
        lake.deleteIn(row(Double.NaN, 0), "id", row(1)).deleteIn(row(0.5, 0), "id", row(2)).deleteIn(row(Double.POSITIVE_INFINITY, 0), "id", row(1)).commit();
        lake.want("NaN | 2", "0.5 | 1", "null | 1", "null | 2", "Infinity | 2");
      }
      if (after) {
        lake.deleteIn(row(Double.NaN, 0), "id", row(2)).commit();
      }
      lake.ask("p IS NULL", Expressions.isNull("p"));
      lake.ask("p IS NOT NULL", Expressions.notNull("p"));
      lake.ask("id = 1", Expressions.equal("id", 1));
    }
    // A delete under a spec without partitions is for all of them.
    try (Lake lake = lake("part_global", parted)) {
      if (write) {
        lake.create().add(row("a", 1, "old"), row("b", 2, "old")).commit();
        lake.table.updateSpec().addField("p").commit();
        lake.add(row("a", 1, "new"), row("a", 2, "new"), row("b", 1, "new"), row("b", 2, "new"), row(null, 1, "new")).commit();
        lake.spec(0).delete("id", row(1)).commit();
        lake.spec(1).add(row("c", 1, "newer")).commit();
        lake.want("\"b\" | 2 | \"old\"", "\"a\" | 2 | \"new\"", "\"b\" | 2 | \"new\"", "\"c\" | 1 | \"newer\"");
      }
      if (after) {
        lake.spec(0).delete("p", row("b")).commit();
      }
      lake.ask("p = 'b'", Expressions.equal("p", "b"));
      lake.ask("id = 1", Expressions.equal("id", 1));
      lake.snapshots();
    }
    // The same where a field of format 1 stays behind as `void`: called as its column is, and otherwise.
    for (String called : new String[] {"p", "part"}) {
      try (Lake lake = lake("part_void_" + called, parted, PartitionSpec.builderFor(parted).identity("p", called).build(), "format-version", "1")) {
        if (write) {
          lake.create();
          lake.table.newAppend().appendFile(lake.file(row("a", 1, "x"), row("a", 2, "x"))).appendFile(lake.file(row("b", 1, "x"))).commit();
          lake.want("\"a\" | 2 | \"x\"", "\"b\" | 2 | \"y\"", "\"c\" | 1 | \"z\"");
          try {
            lake.table.updateSpec().removeField(called).commit();
          } catch (RuntimeException error) {
            lake.refused(error);
            continue;
          }
          lake.table.updateProperties().set("format-version", "2").commit();
          lake.spec(0).add(row("b", 2, "y"), row("c", 1, "y")).commit();
          lake.spec(1).delete("id", row(1)).commit();
          lake.spec(1).add(row("c", 1, "z")).commit();
        }
        lake.ask("p = 'b'", Expressions.equal("p", "b"));
      }
    }
    // A delete with partitions is for data of its own spec only.
    try (Lake lake = lake("spec_evolution", parted, PartitionSpec.builderFor(parted).identity("p").build())) {
      if (write) {
        lake.create().add(row("a", 1, "s0"), row("a", 2, "s0"), row("b", 1, "s0"), row("b", 2, "s0")).commit();
        lake.table.updateSpec().addField(Expressions.bucket("id", 2)).commit();
        lake.spec(1).add(row("a", 1, "s1"), row("a", 2, "s1"), row("b", 1, "s1"), row("b", 2, "s1")).commit();
        lake.spec(1).deleteIn(row("a", 1, null), "id", row(1)).commit();
        lake.spec(0).deleteIn(row("b", 2, null), "id", row(2)).commit();
        lake.want("\"a\" | 1 | \"s0\"", "\"a\" | 2 | \"s0\"", "\"b\" | 1 | \"s0\"", "\"a\" | 2 | \"s1\"", "\"b\" | 1 | \"s1\"", "\"b\" | 2 | \"s1\"");
      }
      if (after) {
        lake.spec(0).deleteIn(row("b", 1, null), "id", row(1)).commit();
        lake.spec(1).deleteIn(row("a", 2, null), "id", row(2)).commit();
      }
      lake.ask("id = 1", Expressions.equal("id", 1));
      lake.ask("v = 's1' AND p = 'a'", Expressions.and(Expressions.equal("v", "s1"), Expressions.equal("p", "a")));
      lake.snapshots();
    }
    // Data without partitions, deletes of a later spec with them.
    try (Lake lake = lake("spec_later", parted)) {
      if (write) {
        lake.create().add(row("a", 1, "s0"), row("b", 1, "s0")).commit();
        lake.table.updateSpec().addField("p").commit();
        lake.spec(1).add(row("a", 1, "s1"), row("b", 1, "s1")).commit();
        lake.spec(1).deleteIn(row("a", 1, null), "id", row(1)).commit();
        lake.want("\"a\" | 1 | \"s0\"", "\"b\" | 1 | \"s0\"", "\"b\" | 1 | \"s1\"");
      }
      lake.ask("p = 'a'", Expressions.equal("p", "a"));
    }

    // --- columns that change
    try (Lake lake = lake("renamed", schema("id int", "key string"))) {
      if (write) {
        lake.create().add(row(1, "a"), row(2, "b"), row(3, "c")).commit();
        lake.delete("key", row("a")).commit();
        lake.table.updateSchema().renameColumn("key", "label").commit();
        lake.add(row(4, "a"), row(5, "c")).commit();
        lake.delete("label", row("c")).commit();
        lake.want("2 | \"b\"", "4 | \"a\"");
      }
      lake.ask("label = 'a'", Expressions.equal("label", "a"));
    }
    try (Lake lake = lake("swapped", schema("a int", "b int"))) {
      if (write) {
        lake.create().add(row(1, 2), row(2, 1), row(3, 3)).commit();
        lake.delete("a", row(1)).commit();
        lake.table.updateSchema().renameColumn("a", "t").commit();
        lake.table.updateSchema().renameColumn("b", "a").commit();
        lake.table.updateSchema().renameColumn("t", "b").commit();
        lake.add(row(1, 7), row(4, 4)).commit();
        lake.want("2 | 1", "3 | 3", "1 | 7", "4 | 4");
      }
      lake.ask("a = 1", Expressions.equal("a", 1));
    }
    // What a delete says of a column that is dropped later stays said (spec, "Equality Delete Files").
    try (Lake lake = lake("dropped", schema("id int", "key string"))) {
      if (write) {
        lake.create().add(row(1, "a"), row(2, "b"), row(3, "c")).commit();
        lake.delete("key", row("a")).commit();
        lake.table.updateSchema().deleteColumn("key").commit();
        lake.add(row(4)).commit();
        lake.want("2", "3", "4");
      }
      lake.ask("id < 3", less("id", 3), "2");
    }
    // Rows of files that never had the dropped column are null in it.
    try (Lake lake = lake("dropped_null", schema("id int", "key string"))) {
      if (write) {
        lake.create().add(row(1, "a"), row(2, null)).commit();
        lake.table.updateSchema().addColumn("more", Types.IntegerType.get()).commit();
        lake.add(row(3, "c", 3), row(4, null, 4)).commit();
        lake.delete("key,more", row(null, null), row("c", 3)).commit();
        lake.table.updateSchema().deleteColumn("key").deleteColumn("more").commit();
        lake.add(row(5)).commit();
        lake.want("1", "4", "5");
      }
      lake.ask("id < 3", less("id", 3), "1");
    }
    try (Lake lake = lake("added_again", schema("id int", "key string"))) {
      if (write) {
        lake.create().add(row(1, "a"), row(2, "b")).commit();
        lake.delete("key", row("a")).commit();
        lake.table.updateSchema().deleteColumn("key").commit();
        lake.table.updateSchema().addColumn("key", Types.StringType.get()).commit();
        lake.add(row(3, "a"), row(4, "b")).commit();
        lake.delete("key", row("b")).commit();
        lake.want("2 | null", "3 | \"a\"");
      }
      lake.ask("key IS NULL", Expressions.isNull("key"), "2 | null");
    }
    try (Lake lake = lake("added", schema("id int"))) {
      if (write) {
        lake.create().add(row(1), row(2)).commit();
        lake.table.updateSchema().addColumn("key", Types.StringType.get()).commit();
        lake.add(row(3, "a"), row(4, null), row(5, "b")).commit();
        lake.delete("key", row("a")).commit();
        lake.want("1 | null", "2 | null", "4 | null", "5 | \"b\"");
      }
      if (after) {
        lake.delete("key", row((Object) null)).commit();
      }
      lake.ask("key IS NULL", Expressions.isNull("key"));
    }
    try (Lake lake = lake("added_null", schema("id int"))) {
      if (write) {
        lake.create().add(row(1), row(2)).commit();
        lake.table.updateSchema().addColumn("key", Types.StringType.get()).commit();
        lake.add(row(3, "a"), row(4, null)).commit();
        lake.delete("key,id", row(null, 1), row("a", 2), row(null, 4)).commit();
        lake.want("2 | null", "3 | \"a\"");
      }
      lake.ask("key IS NULL", Expressions.isNull("key"));
    }
    try (Lake lake = lake("added_default", schema("id int"), "format-version", "3")) {
      if (write) {
        lake.create().add(row(1), row(2)).commit();
        lake.table.updateSchema().addColumn("key", Types.StringType.get(), Literal.of("d")).commit();
        lake.add(row(3, "a"), row(4, "d"), row(5, null)).commit();
        lake.delete("key,id", row("d", 1), row("d", 4), row(null, 2)).commit();
        lake.add(row(1, "d")).commit();
        lake.want("2 | \"d\"", "3 | \"a\"", "5 | null", "1 | \"d\"");
      }
      if (after) {
        lake.delete("key", row("d")).commit();
      }
      lake.ask("key = 'd'", Expressions.equal("key", "d"));
    }
    try (Lake lake = lake("promoted", schema("id int", "v string"))) {
      if (write) {
        lake.create().add(row(1, "int"), row(2, "int"), row(-3, "int"), row(4, "int")).commit();
        lake.delete("id", row(1)).commit();
        lake.table.updateSchema().updateColumn("id", Types.LongType.get()).commit();
        lake.add(row(1L, "long"), row((1L << 32) + 2, "long"), row(1L << 40, "long"), row(-3L, "long")).commit();
        lake.delete("id", row(2L), row(1L << 40), row(-3L)).commit();
        lake.want("4 | \"int\"", "1 | \"long\"", "4294967298 | \"long\"");
      }
      lake.ask("id = 4", Expressions.equal("id", 4L));
      lake.ask("id < 5", less("id", 5L));
    }
    try (Lake lake = lake("promoted_float", schema("k float", "m decimal(9,2)", "v string"))) {
      if (write) {
        lake.create().add(row(0.1f, new BigDecimal("1.10"), "a"), row(0.5f, new BigDecimal("2.20"), "b"), row(Float.NaN, new BigDecimal("3.30"), "c"), row(-0f, null, "d")).commit();
        lake.delete("k", row(-0f)).commit();
        lake.delete("m", row(new BigDecimal("2.20"))).commit();
        lake.table.updateSchema().updateColumn("k", Types.DoubleType.get()).updateColumn("m", Types.DecimalType.of(20, 2)).commit();
        // 0.1 of a float is not 0.1 of a double.
        lake.add(row(0.1, new BigDecimal("2.20"), "e"), row((double) 0.1f, new BigDecimal("4.40"), "f"), row(0.25, new BigDecimal("1.10"), "g")).commit();
        lake.delete("k", row((double) 0.1f), row(Double.NaN)).commit();
        lake.delete("m", row(new BigDecimal("1.10"))).commit();
        lake.want("0.1 | 2.20 | \"e\"");
      }
      lake.ask("m = 2.20", Expressions.equal("m", new BigDecimal("2.20")));
    }

    // --- beside deletes by position
    for (int version : new int[] {2, 3}) {
      try (Lake lake = lake("mixed_v" + version, schema("id int", "v string"), "format-version", "" + version,
          "write.delete.mode", "merge-on-read", "write.update.mode", "merge-on-read")) {
        if (write) {
          lake.create().add(numbered(0, 9)).commit();
          DataFile first = lake.last();
          lake.deletePosition(first, 2, 4).commit();
          lake.delete("id", row(3), row(4)).commit();
          lake.add(row(3, "again"), row(5, "again")).commit();
          DataFile second = lake.last();
          lake.delete("v", row("n8")).add(row(8, "n8")).deletePosition(second, 1).commit();
          lake.want("0 | \"n0\"", "1 | \"n1\"", "5 | \"n5\"", "6 | \"n6\"", "7 | \"n7\"", "9 | \"n9\"", "3 | \"again\"", "8 | \"n8\"");
        }
        if (after) {
          lake.delete("id", row(5), row(3)).commit();
        }
        lake.ask("id = 3", Expressions.equal("id", 3));
        lake.ask("v = 'n8'", Expressions.equal("v", "n8"));
        lake.snapshots();
      }
    }
    try (Lake lake = lake("mixed_upgraded", schema("id int", "v string"))) {
      if (write) {
        lake.create().add(numbered(0, 9)).commit();
        DataFile first = lake.last();
        lake.deletePosition(first, 0).commit();
        lake.delete("id", row(1)).commit();
        lake.add(numbered(10, 14)).commit();
        DataFile second = lake.last();
        lake.table.updateProperties().set("format-version", "3").commit();
        lake.deletePosition(second, 1, 2).commit();
        lake.delete("id", row(2), row(13)).commit();
        lake.want("3 | \"n3\"", "4 | \"n4\"", "5 | \"n5\"", "6 | \"n6\"", "7 | \"n7\"", "8 | \"n8\"", "9 | \"n9\"", "10 | \"n10\"", "14 | \"n14\"");
      }
      lake.ask("id > 8", Expressions.greaterThan("id", 8));
    }

    // --- what else is in delete files
    try (Lake lake = lake("extra_columns", schema("a string", "id int", "b double"))) {
      if (write) {
        lake.create().add(row("x", 1, 1.0), row("y", 2, 2.0), row(null, 3, 3.0), row("x", 4, null)).commit();
        // Whole rows, only `id` counts; the other columns are those of the row that is deleted, or null.
        lake.deleteRows("a,id,b", "id", row("x", 1, 1.0), row(null, 3, null), row("y", 9, 2.0)).commit();
        // In another order, and with the column that counts last.
        lake.deleteRows("b,a,id", "id", row(null, "x", 4)).commit();
        lake.want("\"y\" | 2 | 2.0");
      }
      lake.ask("a = 'x'", Expressions.equal("a", "x"));
      lake.snapshots();
    }
    try (Lake lake = lake("two_sets", schema("a int", "b int", "c string"))) {
      if (write) {
        lake.create().add(row(1, 1, "p"), row(1, 2, "q"), row(2, 1, "r"), row(2, 2, "s"), row(3, 3, "t")).commit();
        lake.delete("a", row(3)).delete("b", row(1)).commit();
        lake.add(row(1, 1, "u"), row(3, 2, "v"), row(2, 2, "w")).commit();
        lake.delete("a,b", row(2, 2), row(9, 9)).delete("c", row("v"), row("p")).delete("b,a", row(1, 3)).commit();
        lake.want("1 | 2 | \"q\"", "1 | 1 | \"u\"");
      }
      lake.ask("b = 2", Expressions.equal("b", 2));
      lake.ask("c > 'q'", Expressions.greaterThan("c", "q"));
      lake.snapshots();
    }

    // --- 100,000 rows in five files of many row groups, 10,000 of them deleted in 20 commits, some by position
    try (Lake lake = lake("large", schema("id long", "k string", "v double"), "write.parquet.row-group-size-bytes", "65536", "write.parquet.page-row-limit", "500")) {
      if (write) {
        lake.create();
        for (int file = 0; file < 5; file++) {
          lake.add(IntStream.range(file * 20_000, file * 20_000 + 20_000).mapToObj(id -> row((long) id, "key " + id * 7919L % 100_000, id / 8.0)).toArray(Object[][]::new));
        }
        DataFile last = lake.last();
        lake.commit();
        for (int commit = 0; commit < 20; commit++) {
          int at = commit;
          Stream<Object[]> rows = IntStream.range(0, 500).mapToObj(n -> at % 2 == 0 ? row(n * 200L + at) : row("key " + (n * 200L + at) * 7919L % 100_000));
          lake.delete(at % 2 == 0 ? "id" : "k", rows.toArray(Object[][]::new));
          if (at == 10) {
            lake.deletePosition(last, IntStream.range(0, 1000).mapToLong(n -> n * 20 + 19).toArray());
          }
          lake.commit();
        }
      }
      lake.ask("id BETWEEN 49900 AND 50300", Expressions.and(Expressions.greaterThanOrEqual("id", 49900L), Expressions.lessThanOrEqual("id", 50300L)));
      lake.ask("k IN ('key 7919', 'key 91181', 'key 500')", Expressions.in("k", "key 7919", "key 91181", "key 500"));
      lake.ask("id >= 99000", Expressions.greaterThanOrEqual("id", 99000L));
      lake.ask("v < 20", less("v", 20.0));
    }

    // --- what the table engine may refuse (docs/limits.md) but not read wrongly
    try (Lake lake = lake("may_refuse_nested", new Schema(NestedField.optional(1, "id", Types.IntegerType.get()),
        NestedField.optional(2, "s", Types.StructType.of(NestedField.optional(3, "k", Types.IntegerType.get())))))) {
      if (write) {
        lake.create();
        Types.StructType inner = lake.table.schema().findType("s").asStructType();
        Record one = GenericRecord.create(inner).copy(Map.of("k", 1));
        Record two = GenericRecord.create(inner).copy(Map.of("k", 2));
        lake.add(row(1, one), row(2, two)).commit();
        lake.deleteRows("s", "s.k", row(one)).commit();
        lake.want("2 | (2)");
      }
      lake.ask("id < 3", less("id", 3));
    }
    try (Lake lake = lake("may_refuse_avro", schema("id int", "v string"), "write.delete.format.default", "avro")) {
      if (write) {
        lake.create().add(row(1, "a"), row(2, "b")).commit();
        lake.delete("id", row(1)).commit();
        lake.want("2 | \"b\"");
      }
      lake.ask("id < 3", less("id", 3));
    }
  }

  static void typed(String type, boolean write, String where, Expression filter, Object... values) throws Exception {
    typed(type, "", write, where, filter, values);
  }

  static void typed(String type, String suffix, boolean write, String where, Expression filter, Object... values) throws Exception {
    String name = "type_" + type.replaceAll("\\W+", "_").replaceAll("_$", "") + suffix;
    String[] version = type.endsWith("_ns") ? new String[] {"format-version", "3"} : new String[0];
    try (Lake lake = lake(name, schema("id long", "k " + type), version)) {
      if (write) {
        List<Object[]> rows = new ArrayList<>();
        List<Object[]> deleted = new ArrayList<>();
        for (int at = 0; at < values.length; at++) {
          rows.add(row((long) at, values[at]));
          if (at % 2 == 0) {
            deleted.add(row(values[at]));
          }
        }
        rows.add(row((long) values.length, null));
        lake.create().add(rows.toArray(Object[][]::new)).commit();
        if (type.startsWith("fixed")) {
          // Java 1.12 reads them into one array: a delete file of two of them deletes only the last, see type_fixed_two.
          for (Object[] value : deleted) {
            lake.delete("k", value);
          }
        } else {
          lake.delete("k", deleted.toArray(Object[][]::new));
        }
        lake.commit();
        Collections.reverse(rows);
        rows.replaceAll(each -> row((long) each[0] + 100, each[1]));
        lake.add(rows.toArray(Object[][]::new)).commit();
        lake.delete("k", row((Object) null), row(values[1])).commit();
        // Of the first rows all those at odd places but the one at 1, of the later ones all but the null and the one at 1.
        String[] want = Stream.concat(IntStream.range(0, values.length).filter(at -> at % 2 == 1 && at != 1).mapToObj(at -> at + " | " + text(values[at])),
            IntStream.range(0, values.length).filter(at -> at != 1).mapToObj(at -> at + 100 + " | " + text(values[at]))).toArray(String[]::new);
        lake.want(want);
      }
      lake.ask(where, filter);
      lake.ask("k IS NULL", Expressions.isNull("k"));
    }
  }

  // --- one table

  static Lake lake(String name, Schema schema, String... properties) {
    return lake(name, schema, PartitionSpec.unpartitioned(), properties);
  }

  static Lake lake(String name, Schema schema, PartitionSpec spec, String... properties) {
    return new Lake(name, schema, spec, properties);
  }

  static class Lake implements AutoCloseable {
    final String name;
    final Schema first;
    final PartitionSpec firstSpec;
    final Map<String, String> properties = new LinkedHashMap<>(Map.of("format-version", "2"));
    final List<String> wheres = new ArrayList<>();
    final List<Expression> filters = new ArrayList<>();
    boolean ofSnapshots;
    Table table;
    RowDelta delta;
    PartitionSpec spec;
    DataFile last;
    List<DataFile> added = new ArrayList<>();
    int files;

    Lake(String name, Schema schema, PartitionSpec spec, String... more) {
      this.name = name;
      this.first = schema;
      this.firstSpec = spec;
      for (int at = 0; at < more.length; at += 2) {
        properties.put(more[at], more[at + 1]);
      }
      TableIdentifier identifier = TableIdentifier.of(namespace, name);
      if (catalog.tableExists(identifier)) {
        table = catalog.loadTable(identifier);
      }
    }

    Lake create() {
      table = catalog.createTable(TableIdentifier.of(namespace, name), first, firstSpec, properties);
      return this;
    }

    PartitionSpec spec() {
      return spec != null ? spec : table.spec();
    }

    /** What is written from here on is of this spec. */
    Lake spec(int id) {
      spec = table.specs().get(id);
      return this;
    }

    RowDelta delta() {
      if (delta == null) {
        delta = table.newRowDelta();
      }
      return delta;
    }

    void commit() {
      delta().commit();
      delta = null;
      table.refresh();
    }

    DataFile last() {
      return last;
    }

    EncryptedOutputFile file(String kind) {
      String path = "%s/data/%s-%05d-%s".formatted(table.location(), kind, ++files, UUID.randomUUID());
      String format = kind.equals("data") ? "parquet" : properties.getOrDefault("write.delete.format.default", "parquet");
      return EncryptedFiles.plainAsEncryptedOutput(table.io().newOutputFile(path + "." + format));
    }

    GenericFileWriterFactory.Builder writer() {
      return new GenericFileWriterFactory.Builder(table);
    }

    StructLike partition(Object[] values) {
      if (spec().isUnpartitioned()) {
        return null;
      }
      PartitionKey key = new PartitionKey(spec(), table.schema());
      key.partition(new InternalRecordWrapper(table.schema().asStruct()).wrap(record(table.schema(), values)));
      return key;
    }

    /** Rows of one partition. */
    DataFile file(Object[]... rows) throws Exception {
      var writer = writer().dataSchema(table.schema()).build().newDataWriter(file("data"), spec(), partition(rows[0]));
      try (writer) {
        for (Object[] row : rows) {
          writer.write(record(table.schema(), row));
        }
      }
      last = writer.toDataFile();
      return last;
    }

    /** A data file for each partition. */
    Lake add(Object[]... rows) throws Exception {
      Map<String, List<Object[]>> parts = new LinkedHashMap<>();
      for (Object[] row : rows) {
        parts.computeIfAbsent(spec().partitionToPath(keyOrEmpty(row)), key -> new ArrayList<>()).add(row);
      }
      for (List<Object[]> part : parts.values()) {
        delta().addRows(file(part.toArray(Object[][]::new)));
      }
      return this;
    }

    StructLike keyOrEmpty(Object[] row) {
      StructLike key = partition(row);
      return key != null ? key : new PartitionKey(spec(), table.schema());
    }

    Lake delete(String names, Object[]... values) throws Exception {
      return deletes(names, names, null, values);
    }

    /** Deletes in the partition of a row. */
    Lake deleteIn(Object[] row, String names, Object[]... values) throws Exception {
      return deletes(names, names, row, values);
    }

    /** Deletes by some of the columns that the delete file has. */
    Lake deleteRows(String columns, String names, Object[]... values) throws Exception {
      return deletes(columns, names, null, values);
    }

    Lake deletes(String columns, String names, Object[] in, Object[]... values) throws Exception {
      Schema rows = new Schema(Stream.of(columns.split(",")).map(each -> table.schema().findField(each)).toList());
      int[] ids = Stream.of(names.split(",")).mapToInt(each -> table.schema().findField(each).fieldId()).toArray();
      FileFormat format = FileFormat.fromString(properties.getOrDefault("write.delete.format.default", "parquet"));
      var factory = writer().deleteFileFormat(format).equalityFieldIds(ids).equalityDeleteRowSchema(rows).build();
      StructLike partition = in != null ? partition(in) : spec().fields().isEmpty() ? null : new PartitionKey(spec(), table.schema());
      var writer = factory.newEqualityDeleteWriter(file("deletes"), spec(), partition);
      try (writer) {
        for (Object[] row : values) {
          writer.write(record(rows, row));
        }
      }
      delta().addDeletes(writer.toDeleteFile());
      return this;
    }

    Lake deletePosition(DataFile data, long... positions) throws Exception {
      PartitionSpec of = table.specs().get(data.specId());
      List<DeleteFile> made;
      if (table.properties().getOrDefault("format-version", formatVersion()).equals("3")) {
        var writer = new BaseDVFileWriter(OutputFileFactory.builderFor(table, 1, ++files).format(FileFormat.PUFFIN).build(), path -> null);
        for (long position : positions) {
          writer.delete(data.location(), position, of, data.partition());
        }
        writer.close();
        made = writer.result().deleteFiles();
      } else {
        var writer = writer().build().newPositionDeleteWriter(file("positions"), of, of.isUnpartitioned() ? null : data.partition());
        try (writer) {
          for (long position : positions) {
            writer.write(PositionDelete.<Record>create().set(data.location(), position));
          }
        }
        made = List.of(writer.toDeleteFile());
      }
      made.forEach(delta()::addDeletes);
      return this;
    }

    String formatVersion() {
      return "" + ((org.apache.iceberg.HasTableOperations) table).operations().current().formatVersion();
    }

    // --- questions

    /** Once more with a filter. The rows are what there must be, where the reader of Java cannot tell. */
    void ask(String where, Expression filter, String... want) throws Exception {
      if (want.length > 0) {
        want(".where" + wheres.size(), want);
      }
      wheres.add(where);
      filters.add(filter);
    }

    void snapshots() {
      ofSnapshots = true;
    }

    /** The catalog did not take a commit: that is the answer. */
    void refused(RuntimeException error) throws Exception {
      Files.write(out.resolve(name + ".refused"), List.of("" + error));
    }

    /** The rows that there must be, besides of what Java reads. */
    void want(String... rows) throws Exception {
      want("", rows);
    }

    void want(String question, String[] rows) throws Exception {
      Files.write(out.resolve(name + question + ".want"), Stream.concat(Stream.of(header()), Stream.of(rows).sorted()).toList());
    }

    @Override
    public void close() throws Exception {
      if (table == null) {
        return;
      }
      table.refresh();
      answer(name, "", IcebergGenerics.read(table));
      for (int at = 0; at < wheres.size(); at++) {
        answer(name + ".where" + at, " WHERE " + wheres.get(at), IcebergGenerics.read(table).where(filters.get(at)));
      }
      if (ofSnapshots) {
        for (Snapshot snapshot : table.snapshots()) {
          long id = snapshot.snapshotId();
          answer(name + ".at" + snapshot.sequenceNumber(), " FOR VERSION AS OF " + id, IcebergGenerics.read(table).useSnapshot(id));
        }
      }
    }

    String header() {
      return "# " + String.join(" | ", table.schema().columns().stream().map(NestedField::name).toList());
    }

    void answer(String file, String where, IcebergGenerics.ScanBuilder scan) throws Exception {
      List<String> lines = new ArrayList<>();
      // Behind them are those that it needed for itself.
      int width = table.schema().columns().size();
      try (CloseableIterable<Record> records = scan.build()) {
        for (Record row : records) {
          lines.add(String.join(" | ", IntStream.range(0, width).mapToObj(at -> text(row.get(at))).toList()));
        }
        Collections.sort(lines);
        lines.add(0, header());
      } catch (Exception | AssertionError error) {
        lines = List.of("!" + error);
      }
      Files.write(out.resolve(file), lines);
      index.println(String.join("\t", name, file, where));
    }
  }

  /** As in SQL: Java's own takes null for less than everything. */
  static Expression less(String name, Object value) {
    return Expressions.and(Expressions.notNull(name), Expressions.lessThan(name, value));
  }

  // --- rows

  static Object[] row(Object... values) {
    return values;
  }

  static Object[][] numbered(int from, int to) {
    return IntStream.rangeClosed(from, to).mapToObj(id -> row(id, "n" + id)).toArray(Object[][]::new);
  }

  static Object[] decimals(String... texts) {
    return Stream.of(texts).map(BigDecimal::new).toArray();
  }

  static ByteBuffer bytes(String hex) {
    return ByteBuffer.wrap(HexFormat.of().parseHex(hex));
  }

  static byte[] fixed(String hex) {
    return HexFormat.of().parseHex(hex);
  }

  static Schema schema(String... columns) {
    List<NestedField> fields = new ArrayList<>();
    for (String column : columns) {
      String[] parts = column.split(" ", 2);
      Type type = switch (parts[1]) {
        case "timestamptz" -> Types.TimestampType.withZone();
        case "timestamptz_ns" -> Types.TimestampNanoType.withZone();
        case "timestamp_ns" -> Types.TimestampNanoType.withoutZone();
        default -> Types.fromPrimitiveString(parts[1]);
      };
      fields.add(NestedField.optional(fields.size() + 1, parts[0], type));
    }
    return new Schema(fields);
  }

  static Record record(Schema schema, Object[] values) {
    Record record = GenericRecord.create(schema);
    for (int at = 0; at < values.length; at++) {
      record.set(at, values[at]);
    }
    return record;
  }

  static final DateTimeFormatter NANOS = DateTimeFormatter.ofPattern("uuuu-MM-dd'T'HH:mm:ss.SSSSSSSSS");

  /** A value as the other side of the comparison writes it too. */
  static String text(Object value) {
    if (value == null) {
      return "null";
    } else if (value instanceof CharSequence) {
      return '"' + value.toString().replace("\\", "\\\\").replace("\n", "\\n").replace("\"", "\\\"") + '"';
    } else if (value instanceof Record record) {
      return "(" + String.join(", ", IntStream.range(0, record.size()).mapToObj(at -> text(record.get(at))).toList()) + ")";
    } else if (value instanceof BigDecimal decimal) {
      return decimal.toPlainString();
    } else if (value instanceof Float single) {
      return Double.toString(single.doubleValue());
    } else if (value instanceof LocalTime time) {
      return "" + time.toNanoOfDay() / 1000;
    } else if (value instanceof OffsetDateTime instant) {
      return NANOS.format(instant.withOffsetSameInstant(ZoneOffset.UTC));
    } else if (value instanceof LocalDateTime time) {
      return NANOS.format(time);
    } else if (value instanceof ByteBuffer buffer) {
      byte[] bytes = new byte[buffer.remaining()];
      buffer.duplicate().get(bytes);
      return HexFormat.of().formatHex(bytes);
    } else if (value instanceof byte[] bytes) {
      return HexFormat.of().formatHex(bytes);
    } else if (value instanceof UUID uuid) {
      return uuid.toString().replace("-", "");
    }
    return value.toString();
  }
}
