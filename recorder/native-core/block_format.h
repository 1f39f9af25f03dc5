/* The bytes of a block of observations: docs/observations.md. Written by block.c, read by block_read.c.
 *
 *     "RSOB"  u8 version  varint first tick  varint ticks  varint what  varint inputs used up before the first tick
 *     BLOCK_COLUMNS x varint size    then the columns, one after the other
 *
 * A varint has seven bits a byte, the lowest first, and bit 7 set on all but the last; a signed one is zigzag.
 */
#ifndef RETROSCOPE_BLOCK_FORMAT_H
#define RETROSCOPE_BLOCK_FORMAT_H

#define BLOCK_MAGIC "RSOB"
#define BLOCK_VERSION 2
#define BLOCK_TICKS 65536
#define BLOCK_BYTES (1 << 20) /* a block is closed at the first line at which it has so many */

enum block_column {
    COLUMN_STRINGS, /* varint size, bytes */
    COLUMN_CODES,   /* strings file and qualname; varint first line, flags, slots; for each string << 1 | shared */
    COLUMN_PLACES,  /* varint code, signed line less the code's first */
    COLUMN_FRAMES,  /* of frames that began before the block: varint id, address >> 3, code, last tick, last line */
    COLUMN_THREADS, /* at the beginning: varint number, depth, frames outermost first; the running thread first */
    COLUMN_LINES,   /* one a tick: 0 the place that followed this one the last time, else place + 1 */
    COLUMN_OPS,     /* one u8 a row: enum block_op */
    COLUMN_WHEN,    /* one varint a row: ticks since the row before (the first: since before the block) */
    COLUMN_CALLS,   /* varints of ENTER (code), RESUME (frame), SWITCH (thread), LEAVE (how), INPUT (how many more) */
    COLUMN_SLOTS,   /* varints of LOCAL, CONTENT, KEPT: the slot */
    COLUMN_STORES,  /* varints of ATTR, NAME (signed address, string), ITEM, FREED (signed address): >> 3, less the last */
    COLUMN_VALUES,  /* varints: enum block_value, from VALUE_TABLE on an index of the table */
    COLUMN_INTS,    /* signed: less the last int in the same place */
    COLUMN_FLOATS,  /* 8 bytes */
    COLUMN_TABLE,   /* varint string of the type, signed address >> 3 less the last, string of the text, flags */
    COLUMN_KEYS,    /* u32, sorted */
    COLUMN_END,     /* frames alive at the end: varint id, signed address >> 3 less the last, last tick */
    BLOCK_COLUMNS
};

/* A frame's number is given to it where it first occurs: those of COLUMN_FRAMES and those that ENTER begins, in one
 * count. A number that is the next to be given means the next of COLUMN_FRAMES. */
enum block_op {
    ROW_ENTER, ROW_RESUME, ROW_LEAVE, ROW_UNWIND, ROW_SWITCH, ROW_LOCAL, ROW_CONTENT, ROW_KEPT, ROW_ATTR, ROW_ITEM,
    ROW_NAME, ROW_RAISE, ROW_FREED, ROW_INPUT, ROW_KINDS
};

enum block_value { VALUE_UNBOUND, VALUE_INT, VALUE_FLOAT, VALUE_NONE, VALUE_TRUE, VALUE_FALSE, VALUE_TABLE };

enum code_flags { CODE_VISIBLE = 1, CODE_GENERATOR = 2, CODE_FULL = 4, CODE_NAMESPACE = 8, CODE_SITES_LOST = 16 };

/* What "the same place" is for an int: a slot, or the kind of row. */
#define INT_PLACES 320
#define INT_PLACE_OF_ROW(op) (256 + (op))

/* The kinds of facts, as readers ask for them. */
enum fact_kind {
    FACT_LINE = 1, FACT_ENTER = 2, FACT_LEAVE = 4, FACT_RESUME = 8, FACT_LOCAL = 16, FACT_CONTENT = 32, FACT_ATTR = 64,
    FACT_ITEM = 128, FACT_NAME = 256, FACT_RAISE = 512, FACT_FREED = 1024, FACT_INPUT = 2048, FACT_KEPT = 4096,
};

#endif
