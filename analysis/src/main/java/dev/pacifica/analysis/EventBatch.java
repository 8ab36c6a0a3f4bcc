package dev.pacifica.analysis;

import dev.pacifica.schemas.EventField;
import dev.pacifica.schemas.EventKind;
import dev.pacifica.schemas.EventReader;
import dev.pacifica.schemas.FieldType;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.vector.BigIntVector;
import org.apache.arrow.vector.BitVector;
import org.apache.arrow.vector.FieldVector;
import org.apache.arrow.vector.IntVector;
import org.apache.arrow.vector.SmallIntVector;
import org.apache.arrow.vector.UInt8Vector;
import org.apache.arrow.vector.VarCharVector;
import org.apache.arrow.vector.VectorSchemaRoot;
import org.apache.arrow.vector.ipc.ArrowReader;
import org.apache.arrow.vector.types.pojo.ArrowType;
import org.apache.arrow.vector.types.pojo.Field;
import org.apache.arrow.vector.types.pojo.Schema;

/**
 * Events of one kind on their way to SQL, as Arrow vectors: one column a field, {@code sequence}
 * and the header before them.
 */
final class EventBatch implements AutoCloseable {
    /** As many rows as one row group of DuckDB's holds. */
    static final int CAPACITY = 122_880;

    /**
     * The header's columns after {@code sequence}; kind and length are in the table's name and in
     * the schema.
     */
    static final List<EventField> HEADER =
            List.of(EventKind.VCPU_ID, EventKind.INSN_COUNT, EventKind.TIME_NS);

    private final EventKind kind;
    private final BufferAllocator allocator;
    private final VectorSchemaRoot root;
    private final BigIntVector sequence;
    private final Column[] columns;
    private int rows;

    /** Puts one field of an event into one row. */
    private interface Setter {
        void set(int row, EventReader event);
    }

    private record Column(FieldVector vector, Setter setter) {}

    EventBatch(EventKind kind, BufferAllocator allocator) {
        this.kind = kind;
        this.allocator = allocator;
        sequence = new BigIntVector("sequence", allocator);
        List<EventField> fields = new ArrayList<>(HEADER);
        fields.addAll(kind.fields());
        columns = fields.stream().map(this::column).toArray(Column[]::new);
        List<FieldVector> vectors = new ArrayList<>();
        vectors.add(sequence);
        for (Column column : columns) {
            vectors.add(column.vector);
        }
        root = new VectorSchemaRoot(vectors);
        allocate();
    }

    private void allocate() {
        for (FieldVector vector : root.getFieldVectors()) {
            vector.setInitialCapacity(CAPACITY);
            vector.allocateNew();
        }
        rows = 0;
    }

    /** The Arrow type that a field's SQL type maps to without conversion. */
    static ArrowType arrowType(FieldType type) {
        return switch (type) {
            case FLAG -> ArrowType.Bool.INSTANCE;
            case U8 -> new ArrowType.Int(16, true);
            case U16, I32 -> new ArrowType.Int(32, true);
            case U32, COUNT -> new ArrowType.Int(64, true);
            case BITS64 -> new ArrowType.Int(64, false);
            case TEXT -> ArrowType.Utf8.INSTANCE;
        };
    }

    private Column column(EventField field) {
        FieldVector vector =
                Field.notNullable(field.name(), arrowType(field.type())).createVector(allocator);
        Setter setter =
                switch (vector) {
                    case BitVector v -> (row, event) -> v.set(row, event.isSet(field) ? 1 : 0);
                    case SmallIntVector v -> (row, event) -> v.set(row, (int) event.get(field));
                    case IntVector v -> (row, event) -> v.set(row, (int) event.get(field));
                    case BigIntVector v -> (row, event) -> v.set(row, event.get(field));
                    case UInt8Vector v -> (row, event) -> v.set(row, event.get(field));
                    case VarCharVector v ->
                            (row, event) ->
                                    v.setSafe(
                                            row,
                                            event.text(field).getBytes(StandardCharsets.UTF_8));
                    default -> throw new IllegalStateException(field.toString());
                };
        return new Column(vector, setter);
    }

    EventKind kind() {
        return kind;
    }

    int rows() {
        return rows;
    }

    /** Adds a row; true when the batch is full now. */
    boolean add(EventReader event) {
        int row = rows++;
        sequence.set(row, event.sequence());
        for (Column column : columns) {
            column.setter.set(row, event);
        }
        return rows == CAPACITY;
    }

    /**
     * The rows so far as a stream of one batch. After it was read, {@link #clear} must be called.
     */
    ArrowReader reader() {
        root.setRowCount(rows);
        return new ArrowReader(allocator) {
            private boolean read;

            @Override
            public boolean loadNextBatch() {
                boolean first = !read;
                read = true;
                return first;
            }

            @Override
            public VectorSchemaRoot getVectorSchemaRoot() {
                return root;
            }

            @Override
            public long bytesRead() {
                return 0;
            }

            @Override
            protected void closeReadSource() {}

            @Override
            protected Schema readSchema() {
                return root.getSchema();
            }
        };
    }

    /** Starts anew with vectors of its own: the old ones may still be in a reader's hands. */
    void clear() {
        root.clear();
        allocate();
    }

    @Override
    public void close() {
        root.close();
    }
}
