"""Of each list of functions in SqlInfo the names that the Flight SQL ODBC driver knows (scalar_function_reporter.cc), with a call of each and its
answer after appendix E of the ODBC reference; and the types of SQL_CONVERT.
"""
import pyarrow

CALLS = {
    509: "ABS(-2)=2 ACOS(1)=0 ASIN(0)=0 ATAN(0)=0 ATAN2(0,1)=0 CEILING(1.5)=2 COS(0)=1 COT(1)=0.6421 DEGREES(0)=0 EXP(0)=1 FLOOR(1.5)=1"
    " LOG(1)=0 LOG10(100)=2 MOD(7,4)=3 PI()=3.1416 POWER(2,3)=8 RADIANS(0)=0 RAND()=* ROUND(1.26,1)=1.3"
    " SIGN(-3)=-1 SIN(0)=0 SQRT(9)=3 TAN(0)=0 TRUNCATE(1.26,1)=1.2",
    510: "ASCII('a')=97 CHAR(97)=a CONCAT('a','b')=ab DIFFERENCE('a','a')=4 INSERT('abcd',2,1,'x')=axcd LCASE('A')=a LEFT('abc',2)=ab LENGTH('abc')=3"
    " LOCATE('b','abc')=2 LTRIM('a')=a REPEAT('a',2)=aa REPLACE('aba','a','c')=cbc RIGHT('abc',2)=bc RTRIM('a')=a SOUNDEX('a')=A000 SPACE(0)="
    " SUBSTRING('abc',2,1)=b UCASE('a')=A BIT_LENGTH('a')=8 CHAR_LENGTH('ab')=2 CHARACTER_LENGTH('ab')=2 OCTET_LENGTH('ä')=2",
    511: "DATABASE()=lake IFNULL(NULL,1)=1 USER()=* CONVERT(1,SQL_VARCHAR)=1",
    512: "CURDATE()=* CURTIME()=* DAYNAME(D)=Tuesday DAYOFMONTH(D)=2 DAYOFWEEK(D)=3 DAYOFYEAR(D)=2 HOUR(T)=3 MINUTE(T)=4 MONTH(D)=1"
    " MONTHNAME(D)=January NOW()=* QUARTER(D)=1 SECOND(T)=5"
    " TIMESTAMPADD(SQL_TSI_DAY,1,T)=* TIMESTAMPDIFF(SQL_TSI_DAY,T,T)=0 WEEK(D)=1 YEAR(D)=2024 CURRENT_DATE()=*"
    " CURRENT_TIME()=* CURRENT_TIMESTAMP()=*",
}
LITERALS = {"(D)": "(DATE '2024-01-02')", "(T)": "(TIMESTAMP '2024-01-02 03:04:05')", ",T": ",TIMESTAMP '2024-01-02 03:04:05'"}


def call(text):
    for short, literal in LITERALS.items():
        text = text.replace(short, literal)
    return f"SELECT {{fn {text}}}"


def parts(word):
    text, _, want = word.rpartition("=")
    return text.split("(")[0], (call(text), want)


FUNCTIONS = {code: dict(parts(word) for word in words.split(" ")) for code, words in CALLS.items()}
FUNCTIONS[512]["EXTRACT"] = ("SELECT {fn EXTRACT(YEAR FROM DATE '2024-01-02')}", "2024")
# By the numbers of SqlSupportsConvert; what has no type of SQL here is left out.
CONVERSIONS = {0: "BIGINT", 2: "BOOLEAN", 4: "DATE", 5: "DECIMAL(10, 2)", 6: "FLOAT", 7: "INTEGER", 12: "NUMERIC(10, 2)", 13: "REAL", 14: "SMALLINT"}
CONVERSIONS |= {15: "TIME", 16: "TIMESTAMP", 17: "TINYINT", 19: "VARCHAR"}
SAMPLES = {code: "'1'" for code in CONVERSIONS} | {2: "true", 4: "'2024-01-02'", 15: "'03:04:05'", 16: "'2024-01-02 03:04:05'"}


def answers(odbc, sql, want):
    """Whether it gives that, or anything at all where that is * or None."""
    try:
        value = odbc.exec_direct(sql).column(0)[0]
    except pyarrow.ArrowException:
        return False
    if want in (None, "*"):
        return value.is_valid
    got = value.as_py()
    try:
        return abs(float(got) - float(want)) < 1e-4
    except ValueError:
        return str(got) == want
