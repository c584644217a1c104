// Replays the corpus through pgjdbc at two endpoints, tidewater and PostgreSQL, as Metabase asks (its driver is public), and compares
// labels, types and values. corpus.py --dump FILE writes the statements.
// java -cp 'jdbc/*' CorpusJdbc.java FILE TYPES HOST PORT DB USER PASSWORD HOST PORT DB USER PASSWORD [--only RE] [--min N]
//
// Each statement is asked in three ways: as Metabase does, once; then prepared and so often that the driver gives it a name on the
// server and takes values in binary (default prepareThreshold); and in binary from the first time (prepareThreshold=-1).
// A statement that is marked `-- differs:` must differ each time. TYPES (corpus-jdbc.types) holds the columns that are known to be of
// another type, under the reason; one that is not so any more fails, and their values are compared as texts, all others as objects.
import java.nio.file.*;
import java.sql.*;
import java.time.*;
import java.util.*;
import java.util.concurrent.*;
import java.util.regex.*;

public class CorpusJdbc {
  record Column(String label, int type, String name, int format) {}
  record Cell(String text, Object value) {}
  record Answer(List<Column> columns, List<List<Cell>> rows, boolean named) {
    List<?> texts() { return List.of(columns.stream().map(Column::label).toList(), rows.stream().map(r -> r.stream().map(Cell::text).toList()).toList()); }
  }
  static class Refused extends AssertionError { Refused(String m) { super(m); } }

  static final ExecutorService pool = Executors.newCachedThreadPool(r -> { Thread t = new Thread(r); t.setDaemon(true); return t; });
  // pgjdbc's default prepareThreshold is 5: the fifth time has a name and tells the types, the sixth has values in binary.
  static final int TIMES = 6;

  static Connection open(String[] a, int at, String... more) throws SQLException {
    Properties p = new Properties();
    p.put("user", a[at + 3]);
    p.put("password", a[at + 4]);
    p.put("ApplicationName", "Metabase v0.50.0 [corpus]");
    p.put("sslmode", "disable");
    p.put("OpenSourceSubProtocolOverride", "true");
    p.put("options", "-c statement_timeout=50s");
    p.put("socketTimeout", "60");
    for (int i = 0; i < more.length; i += 2) p.put(more[i], more[i + 1]);
    Connection c = DriverManager.getConnection("jdbc:postgresql://" + a[at] + ":" + a[at + 1] + "/" + a[at + 2], p);
    if (!c.getMetaData().supportsTransactionIsolationLevel(Connection.TRANSACTION_READ_UNCOMMITTED)) throw new Refused("no READ UNCOMMITTED");
    c.setTransactionIsolation(Connection.TRANSACTION_READ_UNCOMMITTED);
    try (Statement s = c.createStatement()) { s.execute("SET SESSION TIMEZONE TO 'UTC';"); }
    c.setReadOnly(true);
    c.setAutoCommit(true);
    c.setHoldability(ResultSet.CLOSE_CURSORS_AT_COMMIT);
    return c;
  }

  // ---- asking -------------------------------------------------------------------------------------------------------

  // The class that Metabase reads a column as.
  static Object value(ResultSet r, int c, Column of) throws SQLException {
    return plain(switch (of.type) {
      case Types.TIMESTAMP -> (Object) r.getObject(c, (Class<?>) (of.name.equalsIgnoreCase("timestamptz") ? OffsetDateTime.class : LocalDateTime.class));
      case Types.TIMESTAMP_WITH_TIMEZONE -> r.getObject(c, OffsetDateTime.class);
      case Types.DATE -> r.getObject(c, LocalDate.class);
      case Types.TIME -> r.getObject(c, LocalTime.class);
      default -> r.getObject(c);
    });
  }

  // What can be compared: the class and the value in it.
  static Object plain(Object o) throws SQLException {
    if (o instanceof byte[] b) return "bytes " + HexFormat.of().formatHex(b);
    if (o instanceof java.sql.Array a) return a.getBaseTypeName() + Arrays.deepToString(new Object[] {a.getArray()});
    if (o instanceof org.postgresql.util.PGobject g) return g.getType() + " " + g.getValue();
    return o;
  }

  static Answer read(ResultSet r, boolean named) throws SQLException {
    ResultSetMetaData m = r.getMetaData();
    List<Column> columns = new ArrayList<>();
    for (int c = 1; c <= m.getColumnCount(); c++)
      columns.add(new Column(m.getColumnLabel(c), m.getColumnType(c), m.getColumnTypeName(c), m.unwrap(org.postgresql.PGResultSetMetaData.class).getFormat(c)));
    List<List<Cell>> rows = new ArrayList<>();
    while (r.next()) {
      List<Cell> row = new ArrayList<>();
      for (int c = 1; c <= columns.size(); c++) {
        Object direct = plain(r.getObject(c)), read = value(r, c, columns.get(c - 1));
        // The driver's text of bytes in binary is their address.
        row.add(new Cell(columns.get(c - 1).type == Types.BINARY ? (String) direct : r.getString(c), Arrays.asList(direct, read)));
      }
      rows.add(row);
    }
    return new Answer(columns, rows, named);
  }

  // $1 as the driver writes it, and a question mark that is an operator as it wants it.
  static String marked(String sql, List<Integer> order) {
    Matcher m = Pattern.compile("--[^\n]*|'(?:[^']|'')*'|\"[^\"]*\"|\\$(\\d+)|\\?").matcher(sql);
    return m.replaceAll(found -> {
      if (found.group(1) != null) {
        order.add(Integer.parseInt(found.group(1)));
        return "?";
      }
      return found.group().equals("?") ? "??" : Matcher.quoteReplacement(found.group());
    });
  }

  static final int FORWARD = ResultSet.TYPE_FORWARD_ONLY, READ = ResultSet.CONCUR_READ_ONLY, CLOSE = ResultSet.CLOSE_CURSORS_AT_COMMIT;

  static <S extends Statement> S set(S s) throws SQLException {
    s.setFetchDirection(ResultSet.FETCH_FORWARD);
    s.setFetchSize(500);
    s.setMaxRows(1_048_575);
    return s;
  }

  // The answers of each time, or an SQLSTATE.
  static Object ask(Connection c, String sql, String[] params, boolean prepared, int times) {
    try {
      List<Answer> answers = new ArrayList<>();
      if (prepared || params.length > 0) {
        List<Integer> order = new ArrayList<>();
        try (PreparedStatement s = set(c.prepareStatement(marked(sql, order), FORWARD, READ, CLOSE))) {
          for (int i = 0; i < times; i++) {
            for (int at = 0; at < order.size(); at++) s.setObject(at + 1, params[order.get(at) - 1], Types.OTHER);
            try (ResultSet r = s.executeQuery()) { answers.add(read(r, s.unwrap(org.postgresql.PGStatement.class).isUseServerPrepare())); }
          }
        }
      } else try (Statement s = set(c.createStatement(FORWARD, READ, CLOSE))) {
        if (!s.execute(sql)) return "no rows at all";
        try (ResultSet r = s.getResultSet()) { answers.add(read(r, false)); }
      }
      return answers;
    } catch (SQLException e) {
      return "error " + e.getSQLState() + " " + e.getMessage();
    }
  }

  // ---- comparing ----------------------------------------------------------------------------------------------------

  static void sort(Answer a) { a.rows.sort(Comparator.comparing(r -> r.stream().map(Cell::text).toList().toString())); }

  static String shortly(Object o) {
    String s = String.valueOf(o);
    return s.length() > 300 ? s.substring(0, 300) : s;
  }

  static <T> T differ(String what, Object want, Object got) { throw new AssertionError(what + ": expected " + shortly(want) + ", got " + shortly(got)); }

  // Where two answers are not the same: an AssertionError. Types that are known to differ are looked for in `known`.
  static void compare(Answer got, Answer want, Set<String> known) {
    if (got.columns.size() != want.columns.size()) differ("columns", want.columns, got.columns);
    Set<String> seen = new TreeSet<>();
    List<Integer> other = new ArrayList<>();
    for (int c = 0; c < want.columns.size(); c++) {
      Column g = got.columns.get(c), w = want.columns.get(c);
      if (!g.label.equals(w.label)) differ("label", w.label, g.label);
      if (g.type != w.type || !g.name.equals(w.name)) {
        seen.add(w.label + " " + w.name + " " + g.name);
        other.add(c);
      } else if (g.format != w.format) differ("format of " + w.label, w.format, g.format);
    }
    if (got.rows.size() != want.rows.size()) differ("rows", want.rows.size(), got.rows.size());
    for (int r = 0; r < want.rows.size(); r++) for (int c = 0; c < want.columns.size(); c++) {
      Cell g = got.rows.get(r).get(c), w = want.rows.get(r).get(c);
      String at = "row " + r + " of " + want.columns.get(c).label;
      if (!Objects.equals(g.text, w.text)) differ(at, w.text, g.text);
      if (!other.contains(c) && !Objects.equals(g.value, w.value)) differ(at, w.value + " " + classes(w.value), g.value + " " + classes(g.value));
    }
    if (!seen.equals(known)) {
      Set<String> no = new TreeSet<>(known);
      no.removeAll(seen);
      if (!no.isEmpty()) throw new AssertionError("types do not differ any more: " + no);
      seen.removeAll(known);
      throw new AssertionError("types (label, expected, got): " + seen);
    }
  }

  static String classes(Object pair) { return ((List<?>) pair).stream().map(o -> o == null ? "null" : o.getClass().getSimpleName()).toList().toString(); }

  // name -> "label expected got" of its columns
  static Map<String, Set<String>> types(Path path) throws Exception {
    Map<String, Set<String>> out = new HashMap<>();
    for (String line : Files.readAllLines(path)) {
      if (line.isBlank() || line.startsWith("#")) continue;
      String[] part = line.split(" ", 2);
      out.computeIfAbsent(part[0], n -> new TreeSet<>()).add(part[1]);
    }
    return out;
  }

  static final String[] WAYS = {"as Metabase asks", "prepared", "in binary"};

  static int inBinary; // columns that came so

  @SuppressWarnings("unchecked")
  static String replay(Connection[][] pairs, String name, String sql, String[] params, String why, Set<String> known) {
    // Superset orders by one measure, in which rows can be the same.
    boolean ordered = Pattern.compile("\\bORDER BY\\b", Pattern.CASE_INSENSITIVE).matcher(sql).find() && !name.startsWith("superset.");
    int rows = 0;
    for (int way = 0; way < 3; way++) {
      Connection[] pair = pairs[way / 2];
      int times = way == 1 ? TIMES : 1;
      Object got = ask(pair[0], sql, params, way > 0, times), want = ask(pair[1], sql, params, way > 0, times);
      if (!(want instanceof List)) throw new AssertionError(WAYS[way] + ": PostgreSQL says " + want + ": " + sql);
      if (!(got instanceof List)) {
        if (why.isEmpty()) differ(WAYS[way], "rows", got);
        continue;
      }
      List<Answer> ours = (List<Answer>) got, theirs = (List<Answer>) want;
      for (int i = 0; i < times; i++) {
        Answer g = ours.get(i), w = theirs.get(i);
        rows = w.rows.size();
        if (!ordered) { sort(g); sort(w); }
        String how = WAYS[way] + (times > 1 ? ", time " + (i + 1) : "") + ": ";
        if (i == TIMES - 1 && !(g.named && w.named)) throw new AssertionError(how + "has no name on the server");
        if (way > 0 && i == times - 1) inBinary += g.columns.stream().mapToInt(Column::format).sum();
        if (!why.isEmpty()) {
          if (g.texts().equals(w.texts())) throw new AssertionError(how + "does not differ any more: " + sql);
          continue;
        }
        try { compare(g, w, known); } catch (AssertionError e) { throw new AssertionError(how + e.getMessage() + ": " + sql); }
      }
    }
    return rows + " rows: " + sql.substring(0, Math.min(120, sql.length())) + (why.isEmpty() ? "" : " (differs: " + why + ")") + (known.isEmpty() ? "" : " (types: " + known + ")");
  }

  public static void main(String[] a) throws Exception {
    Map<String, String> opt = new HashMap<>();
    for (int i = 12; i + 1 < a.length; i += 2) opt.put(a[i].substring(2), a[i + 1]);
    Map<String, Set<String>> types = types(Path.of(a[1]));
    Connection[][] pairs = new Connection[2][2];
    int passed = 0, failed = 0;
    for (String record : Files.readString(Path.of(a[0])).split("\2")) {
      String[] part = record.split("\1", -1);
      Set<String> known = types.remove(part[0]);
      if (opt.containsKey("only") && !part[0].matches(opt.get("only"))) continue;
      for (int way = 0; way < 2; way++) for (int side = 0; side < 2; side++)
        if (pairs[way][side] == null || pairs[way][side].isClosed()) pairs[way][side] = way == 0 ? open(a, 2 + side * 5) : open(a, 2 + side * 5, "prepareThreshold", "-1", "binaryTransfer", "true");
      long begun = System.nanoTime();
      Future<String> f = pool.submit(() -> replay(pairs, part[0], part[1], part[2].isEmpty() ? new String[0] : part[2].split(" \\| "), part[3], known == null ? Set.of() : known));
      String verdict = "ok  ", detail;
      try { detail = f.get(60, TimeUnit.SECONDS); }
      catch (TimeoutException e) {
        verdict = "FAIL";
        detail = "no answer in 60 s";
        for (Connection[] pair : pairs) for (Connection c : pair) c.abort(pool);
      } catch (ExecutionException e) {
        verdict = "FAIL";
        detail = e.getCause() instanceof AssertionError ? e.getCause().getMessage() : "" + e.getCause();
      }
      if (verdict.equals("ok  ")) passed++; else failed++;
      detail = detail.replaceAll("\\s+", " ");
      System.out.printf("%s %-44s %6d ms  %s%n", verdict, part[0], (System.nanoTime() - begun) / 1_000_000, detail.length() > (verdict.equals("FAIL") ? 900 : 220) ? detail.substring(0, verdict.equals("FAIL") ? 900 : 220) : detail);
    }
    if (!opt.containsKey("only")) {
      if (inBinary == 0) {
        failed++;
        System.out.println("FAIL binary: no column came in binary");
      }
      for (String name : types.keySet()) {
        failed++;
        System.out.println("FAIL types: there is no statement " + name);
      }
      int least = Integer.parseInt(opt.getOrDefault("min", "0"));
      if (passed < least) {
        failed++;
        System.out.printf("FAIL least: %d checks passed, not %d%n", passed, least);
      }
    }
    System.out.printf("%d columns in binary%n%d passed, %d failed%n", inBinary, passed, failed);
    System.exit(failed == 0 ? 0 : 1);
  }
}
