package dev.pacifica.schemas;

/**
 * One fixed-width field of an event.
 *
 * @param name as in KVM's tracepoints or the manual; also the SQL column
 * @param offset in bytes from the start of the record
 * @param width in bytes
 * @param comment what it means, as the SQL column's comment
 */
public record EventField(String name, FieldType type, int offset, int width, String comment) {}
