/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The image: a header, then records, then END. One writer, one reader, both on a file descriptor (file, pipe,
 * socket). docs/image-format.md specifies the bytes.
 *
 * Writer: buffered; pages are gathered into batches, compressed if asked, and written with as few copies as
 * can be. Reader: validates every record (length, checksum, type, order, digest at the end) before it hands
 * it out. Errors are ERR_IMAGE and name the record's number, type and offset.
 */
#ifndef VERST_IMAGES_IMAGES_H
#define VERST_IMAGES_IMAGES_H

#include "lib/lib.h"
#include "model/model.h"

#define IMG_MAX_BODY_BYTES (66u << 20)

/* --- writing --- */
struct img_writer;

struct img_writer_opts {
	const char *arch;
	uint32_t page_bytes;
	bool compress;
	int64_t created_unix;
};

int img_writer_open(int fd, const struct img_writer_opts *opts, struct img_writer **ret, struct err *err);

/* One object of any kind: img_put_pipe(w, &pipe, err), ... */
#define OBJECT(name, type, struct_, member)                                                                  \
	int img_put_##name(struct img_writer *w, const struct_ *obj, struct err *err);
#include "model/objects.def"
#undef OBJECT

/*
 * Pages of one target, in runs by ascending address. img_pages_begin names the target; img_pages_data gives
 * room for nr_pages whole pages that the caller fills (process_vm_readv straight into the writer's buffer; at
 * most IMG_BATCH_PAGES a call) and then says how many runs they make up with img_pages_commit. Zero pages
 * found among them may be dropped by the writer. img_pages_end flushes the batch.
 */
#define IMG_BATCH_PAGES 1024u
int img_pages_begin(struct img_writer *w, enum pages_target target, uint32_t id, struct err *err);
void *img_pages_room(struct img_writer *w, size_t nr_pages, struct err *err);
int img_pages_commit(struct img_writer *w, uint64_t start, size_t nr_pages,
		     struct err *err); /* those put last into the room */
int img_pages_run(struct img_writer *w, uint64_t start, uint64_t nr_pages, enum pages_kind kind,
		  struct err *err); /* ZERO, INHERIT */
int img_pages_end(struct img_writer *w, struct err *err);

int img_round_end(struct img_writer *w, uint32_t round, struct err *err); /* also flushes to the fd */
int img_flush(struct img_writer *w, struct err *err);
uint64_t img_writer_bytes(const struct img_writer *w);
uint64_t img_writer_pages(const struct img_writer *w, uint64_t *ret_zero);
/* Totals, digest, flush. Frees nothing. */
int img_writer_end(struct img_writer *w, struct err *err);
void img_writer_close(struct img_writer *w);

/* --- reading --- */
struct img_reader;

struct img_header {
	uint32_t version;
	char arch[16];
	uint32_t page_bytes;
	uint64_t features;
	int64_t created_unix;
};

/* Reads and checks the header: ERR_IMAGE for a foreign magic, a newer version, unknown must-understand
 * features. */
int img_reader_open(int fd, struct img_reader **ret, struct err *err);
const struct img_header *img_reader_header(const struct img_reader *r);
void img_reader_close(struct img_reader *r);
uint64_t img_reader_bytes(const struct img_reader *r);

struct img_pages {
	enum pages_target target;
	uint32_t id;
	const struct pages_run
		*runs; /* owned by the reader, valid until the next record; ascending and apart */
	size_t nr_runs;
	const uint8_t *data; /* pages of the PAGES_DATA runs, in order */
};

enum img_item { IMG_OBJECT, IMG_PAGES, IMG_ROUND_END, IMG_END };

struct img_record {
	enum img_item item;
	enum object_type type; /* IMG_OBJECT: it is in its vector in the model ... */
	size_t index;	       /* ... here: the last one, or where the one was that it replaced */
	struct img_pages pages;
	uint32_t round;
	uint64_t number, offset; /* for messages */
};

/*
 * The next record. Objects are decoded into `m`: kinds that several rounds may send (ghost, reg, shm, mm)
 * replace the one with their id, as ve and netns replace the only one; else ids must ascend. Trees, tasks and
 * fsents are appended. IMG_END is given once, after totals and digest were checked; a stream that ends before
 * is ERR_IMAGE.
 */
int img_read(struct img_reader *r, struct model *m, struct img_record *ret, struct err *err);

/*
 * The last VE record that is still to come, where the stream can be read ahead (a file): what the VE's clocks
 * will be in the end. False if it is not known. Free with model_free_ve. The reader stays where it is.
 */
bool img_peek_ve(struct img_reader *r, struct ve_obj *ret);

/* --- for people --- */
/* Both keep no contents of files, however large they are. */
int img_show(int fd, bool json, void (*line)(const char *text, void *arg), void *arg, struct err *err);
int img_verify(int fd, struct err *err);

#endif
