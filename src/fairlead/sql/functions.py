"""Names of built-in functions that only read, and words that cannot name a function; other calls are writes.

Both lists were probed on a live MariaDB 10.11: a name is built in when the server does not look for a stored
function of that name, a word cannot name one when calling it is a syntax error. Locks, sequences and
functions that newer servers added are deliberately absent.
"""

from __future__ import annotations

# What nobody can declare to be a read: locks belong to a connection, sequences are counted up.
NEVER_READS: frozenset[str] = frozenset(
    """
    get_lock release_lock release_all_locks is_free_lock is_used_lock nextval lastval setval currval
    """.split()  # noqa: SIM905
)

# Functions whose first argument is the name of a sequence.
SEQUENCE_FUNCTIONS: frozenset[str] = frozenset(("nextval", "lastval", "setval"))

READ_FUNCTIONS: frozenset[str] = frozenset(
    """
    abs acos add_months adddate addtime aes_decrypt aes_encrypt area asbinary ascii asin astext aswkb
    aswkt atan atan2 avg benchmark bin binlog_gtid_pos bit_and bit_count bit_length bit_or bit_xor
    boundary buffer cast ceil ceiling centroid char char_length character_length charset chr coalesce
    coercibility collation column_add column_check column_create column_delete column_exists column_get
    column_json
    column_list compress concat concat_operator_oracle concat_ws connection_id contains conv convert
    convert_tz convexhull cos cot count crc32 crosses cume_dist curdate current_date current_role
    current_time current_timestamp current_user curtime database date date_add date_format date_sub
    datediff day dayname dayofmonth dayofweek dayofyear decode decode_histogram decode_oracle default
    degrees dense_rank des_decrypt des_encrypt dimension disjoint elt encode encrypt endpoint envelope
    equals exp export_set exteriorring extract extractvalue field find_in_set first_value floor format
    found_rows from_base64 from_days from_unixtime geomcollfromtext geomcollfromwkb geometrycollection
    geometrycollectionfromtext geometrycollectionfromwkb geometryfromtext geometryfromwkb geometryn
    geometrytype geomfromtext geomfromwkb get_format glength greatest group_concat hex hour if ifnull
    inet6_aton inet6_ntoa inet_aton inet_ntoa insert instr interiorringn intersects interval is_ipv4
    is_ipv4_compat is_ipv4_mapped is_ipv6 isclosed isempty isnull isring issimple json_array
    json_array_append json_array_insert json_arrayagg json_compact json_contains json_contains_path
    json_depth json_detailed json_equals json_exists json_extract json_insert json_keys json_length
    json_loose json_merge json_merge_patch json_merge_preserve json_normalize json_object json_objectagg
    json_overlaps json_pretty json_query json_quote json_remove json_replace json_search json_set
    json_type json_unquote json_valid json_value lag last_day last_insert_id last_value lcase lead least
    left length lengthb linefromtext linefromwkb linestring linestringfromtext linestringfromwkb ln
    load_file localtime localtimestamp locate log log10 log2 lower lpad lpad_oracle ltrim ltrim_oracle
    make_set makedate maketime master_gtid_wait master_pos_wait max mbrcontains mbrdisjoint mbrequal
    mbrequals mbrintersects mbroverlaps mbrtouches mbrwithin md5 median microsecond mid min minute
    mlinefromtext mlinefromwkb mod month monthname mpointfromtext mpointfromwkb mpolyfromtext
    mpolyfromwkb multilinestring multilinestringfromtext multilinestringfromwkb multipoint
    multipointfromtext multipointfromwkb multipolygon multipolygonfromtext multipolygonfromwkb
    name_const now nth_value ntile nullif numgeometries numinteriorrings numpoints nvl nvl2 oct
    octet_length old_password ord overlaps password percent_rank percentile_cont percentile_disc
    period_add period_diff pi point pointfromtext pointfromwkb pointn pointonsurface polyfromtext
    polyfromwkb polygon polygonfromtext polygonfromwkb position pow power quarter quote radians rand
    rank regexp_instr regexp_replace regexp_substr repeat replace replace_oracle reverse right round
    row_count row_number rownum rpad rpad_oracle rtrim rtrim_oracle schema sec_to_time second
    session_user sha sha1 sha2 sign sin sleep soundex space sql_tsi_day sql_tsi_hour sql_tsi_minute
    sql_tsi_month sql_tsi_second sql_tsi_year sqrt srid st_area st_asbinary st_asgeojson st_astext
    st_aswkb st_aswkt st_boundary st_buffer st_centroid st_contains st_convexhull st_crosses
    st_difference st_dimension st_disjoint st_distance st_distance_sphere st_endpoint st_envelope
    st_equals st_exteriorring st_geomcollfromtext st_geomcollfromwkb st_geometrycollectionfromtext
    st_geometrycollectionfromwkb st_geometryfromtext st_geometryfromwkb st_geometryn st_geometrytype
    st_geomfromgeojson st_geomfromtext st_geomfromwkb st_interiorringn st_intersection st_intersects
    st_isclosed st_isempty st_isring st_issimple st_length st_linefromtext st_linefromwkb
    st_linestringfromtext st_linestringfromwkb st_mlinefromtext st_mlinefromwkb st_mpointfromtext
    st_mpointfromwkb st_mpolyfromtext st_mpolyfromwkb st_multilinestringfromtext
    st_multilinestringfromwkb st_multipointfromtext st_multipointfromwkb st_multipolygonfromtext
    st_multipolygonfromwkb st_numgeometries st_numinteriorrings st_numpoints st_overlaps
    st_pointfromtext st_pointfromwkb st_pointn st_pointonsurface st_polyfromtext st_polyfromwkb
    st_polygonfromtext st_polygonfromwkb st_relate st_srid st_startpoint st_symdifference st_touches
    st_union st_within st_x st_y startpoint std stddev stddev_pop stddev_samp str_to_date strcmp subdate
    substr substr_oracle substring substring_index subtime sum sys_guid sysdate system_user tan time
    time_format time_to_sec timediff timestamp timestampadd timestampdiff to_base64 to_char to_days
    to_seconds touches trim trim_oracle truncate ucase uncompress uncompressed_length unhex
    unix_timestamp updatexml upper user utc_date utc_time utc_timestamp uuid uuid_short value values
    var_pop var_samp variance version week weekday weekofyear weight_string within x y year yearweek
    """.split()  # noqa: SIM905
)

RESERVED_WORDS: frozenset[str] = frozenset(
    """
    ACCESSIBLE ADD ALL ALTER ANALYZE AND ANY AS ASC ASENSITIVE BEFORE BETWEEN BIGINT BINARY BIT BLOB
    BOOL BOOLEAN BOTH BY BYTE CALL CASCADE CASE CHANGE CHAR CHARACTER CHECK CLOB COLLATE COLUMN
    CONDITION CONSTRAINT CONTINUE CONVERT CREATE CROSS CURSOR DATABASES DATETIME DAY_HOUR
    DAY_MICROSECOND DAY_MINUTE DAY_SECOND DEC DECIMAL DECLARE DEFAULT DELAYED DELETE DELETE_DOMAIN_ID
    DESC DESCRIBE DETERMINISTIC DISTINCT DISTINCTROW DIV DOUBLE DO_DOMAIN_IDS DROP DUAL EACH ELSE ELSEIF
    ENCLOSED ENUM ESCAPED EXCEPT EXISTS EXIT EXPLAIN FETCH FIXED FLOAT FLOAT4 FLOAT8 FOR FORCE FOREIGN
    FROM FULLTEXT GRANT GROUP HAVING HIGH_PRIORITY HOUR_MICROSECOND HOUR_MINUTE HOUR_SECOND IF IGNORE
    IGNORE_DOMAIN_IDS IN INDEX INFILE INNER INOUT INSENSITIVE INSERT INT INT1 INT2 INT3 INT4 INT8
    INTEGER INTERSECT INTERVAL INTO IS ITERATE JOIN JSON KEY KEYS KILL LEADING LEAVE LEFT LIKE LIMIT
    LINEAR LINES LOAD LOCK LONG LONGBLOB LONGTEXT LOOP LOW_PRIORITY MASTER_DEMOTE_TO_REPLICA
    MASTER_DEMOTE_TO_SLAVE MASTER_SSL_VERIFY_SERVER_CERT MATCH MAXVALUE MEDIUMBLOB MEDIUMINT MEDIUMTEXT
    MIDDLEINT MINUTE_MICROSECOND MINUTE_SECOND MOD MODIFIES NATIONAL NATURAL NCHAR NOT
    NO_WRITE_TO_BINLOG NUMBER NUMERIC NVARCHAR OFFSET ON OPTIMIZE OPTIONALLY OR ORDER OUT OUTER OUTFILE
    OVER PAGE_CHECKSUM PARSE_VCOL_EXPR PARTITION PORTION PRECISION PRIMARY PROCEDURE PURGE RANGE RAW
    READ READS READ_WRITE REAL RECURSIVE REFERENCES REF_SYSTEM_ID REGEXP RELEASE RENAME REPEAT REPLACE
    REQUIRE RESIGNAL RESTRICT RETURN RETURNING REVOKE RIGHT RLIKE ROW ROWS ROW_NUMBER SCHEMAS
    SECOND_MICROSECOND SELECT SENSITIVE SEPARATOR SERIAL SET SHOW SIGNAL SMALLINT SOME SPATIAL SPECIFIC
    SQL SQLEXCEPTION SQLSTATE SQLWARNING SQL_BIG_RESULT SQL_BUFFER_RESULT SQL_CACHE SQL_CALC_FOUND_ROWS
    SQL_NO_CACHE SQL_SMALL_RESULT SSL STARTING STATS_AUTO_RECALC STATS_PERSISTENT STATS_SAMPLE_PAGES
    STRAIGHT_JOIN TABLE TERMINATED TEXT THEN TINYBLOB TINYINT TINYTEXT TO TRAILING TRIGGER UNDO UNION
    UNIQUE UNLOCK UNSIGNED UPDATE USAGE USE USING VALUES VARBINARY VARCHAR VARCHAR2 VARCHARACTER VARYING
    WHEN WHERE WHILE WITH WRITE XOR YEAR_MONTH ZEROFILL
    """.split()  # noqa: SIM905
)
