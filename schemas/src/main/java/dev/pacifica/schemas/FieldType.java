package dev.pacifica.schemas;

/** How a field lies in a record (little-endian, at its natural alignment) and what it is in SQL. */
public enum FieldType {
    /** A byte that is 0 or 1. */
    FLAG(1, "BOOLEAN"),
    /** An unsigned number of 8 bits. */
    U8(1, "SMALLINT"),
    /** An unsigned number of 16 bits. */
    U16(2, "INTEGER"),
    /** A signed number of 32 bits. */
    I32(4, "INTEGER"),
    /** An unsigned number of 32 bits. */
    U32(4, "BIGINT"),
    /** A number of 64 bits that never gets near 2^63: a count, a sequence, a time. */
    COUNT(8, "BIGINT"),
    /** 64 bits that may all be in use: an address, a register. Shown in hexadecimal. */
    BITS64(8, "UBIGINT"),
    /** UTF-8 text, cut to the field's width and filled up with zero bytes. */
    TEXT(0, "VARCHAR");

    private final int width;
    private final String sqlType;

    FieldType(int width, String sqlType) {
        this.width = width;
        this.sqlType = sqlType;
    }

    /** The width in bytes; 0 where each field says its own. */
    public int width() {
        return width;
    }

    /** The name of the type in DuckDB's SQL. */
    public String sqlType() {
        return sqlType;
    }
}
