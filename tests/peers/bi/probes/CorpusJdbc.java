// Replays the corpus through pgjdbc at two endpoints and compares labels, kinds of types and values. corpus.py --dump FILE writes the
// statements. java -cp 'jdbc/*' CorpusJdbc.java FILE HOST PORT DB USER PASSWORD HOST PORT DB USER PASSWORD [--only RE] [--min N]
// Each statement goes as a plain one, as a prepared one with values in text, and as one that is prepared on the server with values in
// binary. One that is known to differ must differ in text; it is not asked in the other ways.
import java.nio.file.*;
import java.sql.*;
import java.util.*;
import java.util.regex.*;

public class CorpusJdbc {
  record Answer(List<String> labels, List<String> kinds, List<List<String>> rows) {}

  // Statements whose values are the same and whose types are not: sums of whole numbers are whole here (docs/postgres.md).
  static final Set<String> OF_OTHER_TYPES = Set.of("metabase.aggregations.cumulative-count");

  static Connection open(String[] a, int at, String threshold) throws SQLException {
    Properties p = new Properties();
    p.setProperty("user", a[at + 3]);
    p.setProperty("password", a[at + 4]);
    p.setProperty("ApplicationName", "Metabase v0.50.0 [corpus]");
    p.setProperty("prepareThreshold", threshold);
    p.setProperty("socketTimeout", "60");
    return DriverManager.getConnection("jdbc:postgresql://" + a[at] + ":" + a[at + 1] + "/" + a[at + 2], p);
  }

  // What Metabase makes of a type: it asks no more of it.
  static String kind(int type) {
    return switch (type) {
      case Types.SMALLINT, Types.INTEGER, Types.BIGINT -> "integer";
      case Types.NUMERIC, Types.DECIMAL, Types.REAL, Types.FLOAT, Types.DOUBLE -> "number";
      case Types.CHAR, Types.VARCHAR, Types.LONGVARCHAR -> "text";
      case Types.BIT, Types.BOOLEAN -> "truth";
      default -> JDBCType.valueOf(type).getName();
    };
  }

  static Answer read(ResultSet r) throws SQLException {
    ResultSetMetaData m = r.getMetaData();
    List<String> labels = new ArrayList<>(), kinds = new ArrayList<>();
    for (int c = 1; c <= m.getColumnCount(); c++) {
      labels.add(m.getColumnLabel(c));
      kinds.add(kind(m.getColumnType(c)));
    }
    List<List<String>> rows = new ArrayList<>();
    while (r.next()) {
      List<String> row = new ArrayList<>();
      for (int c = 1; c <= m.getColumnCount(); c++) {
        Object value = r.getObject(c); // as Metabase does: it must not fail
        row.add(value instanceof byte[] bytes ? HexFormat.of().formatHex(bytes) : r.getString(c));
      }
      rows.add(row);
    }
    return new Answer(labels, kinds, rows);
  }

  // $1 as the driver writes it, and a question mark that is an operator as it wants it.
  static String numbered(String sql, List<Integer> order) {
    Matcher m = Pattern.compile("'(?:[^']|'')*'|\"[^\"]*\"|\\$(\\d+)|\\?").matcher(sql);
    return m.replaceAll(found -> {
      if (found.group(1) != null) {
        order.add(Integer.parseInt(found.group(1)));
        return "?";
      }
      return found.group().equals("?") ? "??" : Matcher.quoteReplacement(found.group());
    });
  }

  static Object ask(Connection c, String sql, String[] params, boolean prepared, boolean ordered) {
    try {
      Answer answer;
      if (prepared || params.length > 0) {
        List<Integer> order = new ArrayList<>();
        try (PreparedStatement s = c.prepareStatement(numbered(sql, order))) {
          for (int at = 0; at < order.size(); at++) s.setObject(at + 1, params[order.get(at) - 1], Types.OTHER);
          answer = read(s.executeQuery());
        }
      } else {
        try (Statement s = c.createStatement()) { answer = read(s.executeQuery(sql)); }
      }
      if (!ordered) answer.rows().sort(Comparator.comparing(Object::toString));
      return answer;
    } catch (SQLException e) {
      return "error " + e.getSQLState();
    }
  }

  static String shortly(Object o) {
    String s = String.valueOf(o);
    return s.length() > 250 ? s.substring(0, 250) : s;
  }

  public static void main(String[] a) throws Exception {
    Map<String, String> opt = new HashMap<>();
    for (int i = 11; i + 1 < a.length; i += 2) opt.put(a[i], a[i + 1]);
    Pattern only = Pattern.compile(opt.getOrDefault("--only", ""));
    Connection[][] c = {{open(a, 1, "5"), open(a, 6, "5")}, {open(a, 1, "-1"), open(a, 6, "-1")}};
    int passed = 0, failed = 0;
    for (String record : Files.readString(Path.of(a[0])).split("\2")) {
      String[] part = record.split("\1", -1);
      String name = part[0], sql = part[1], why = part[3];
      if (!only.matcher(name).find()) continue;
      String[] params = part[2].isEmpty() ? new String[0] : part[2].split(" \\| ");
      // Superset orders by one measure, in which rows can be the same.
      boolean ordered = Pattern.compile("\\bORDER BY\\b", Pattern.CASE_INSENSITIVE).matcher(sql).find() && !name.startsWith("superset.");
      long begun = System.nanoTime();
      String wrong = null;
      for (int way = 0; way < 3 && wrong == null; way++) {
        Connection[] pair = c[way / 2];
        Object got = ask(pair[0], sql, params, way > 0, ordered), want = ask(pair[1], sql, params, way > 0, ordered);
        if (OF_OTHER_TYPES.contains(name) && got instanceof Answer g && want instanceof Answer w) {
          if (g.kinds().equals(w.kinds())) wrong = "its types do not differ any more";
          got = new Answer(g.labels(), w.kinds(), g.rows());
        }
        String how = new String[] {"plain", "prepared", "in binary"}[way];
        if (why.isEmpty() && !got.equals(want)) wrong = how + ": expected " + shortly(want) + ", got " + shortly(got) + ": " + shortly(sql);
        if (!why.isEmpty()) {
          if (got.equals(want)) wrong = "does not differ any more: " + shortly(sql);
          break;
        }
      }
      if (wrong == null) passed++; else failed++;
      System.out.printf("%s %-46s %5d ms  %s%n", wrong == null ? "ok  " : "FAIL", name, (System.nanoTime() - begun) / 1_000_000, wrong == null ? (why.isEmpty() ? "three ways" : "differs: " + why) : wrong);
    }
    int least = Integer.parseInt(opt.getOrDefault("--min", "0"));
    if (passed < least) {
      failed++;
      System.out.println("FAIL least: " + passed + " checks passed, not " + least);
    }
    System.out.println(passed + " passed, " + failed + " failed");
    System.exit(failed > 0 ? 1 : 0);
  }
}
