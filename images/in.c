// SPDX-License-Identifier: GPL-2.0-only
#include "images/in.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#include "images/read.h"

#define NR_SLOTS	  3
#define READ_BYTES	  (512u << 10)
#define THREAD_FROM_BYTES (1u << 20) /* of pages in a record */

struct img_in {
	int fd;
	uint32_t page_bytes;
	uint64_t number, offset; /* of the next record to be read */
	XXH3_state_t *sum;
	struct img_in_record slots[NR_SLOTS]; /* [number % NR_SLOTS] */

	/* shared with the thread */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	uint64_t nr_read, nr_done; /* records; the one at hand is not done */
	bool stop;

	bool at_hand, have_thread;
	pthread_t thread;
};

/* --- bytes --- */

int img_in_read(int fd, void *p, size_t len_bytes, size_t *ret_read)
{
	*ret_read = 0;
	while (*ret_read < len_bytes) {
		ssize_t n = read(fd, (uint8_t *)p + *ret_read, len_bytes - *ret_read);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return (int)n;
		*ret_read += (size_t)n;
	}
	return 1;
}

/* The thread may be ended in here and nowhere else: it may wait for a peer that says nothing any more. */
static int read_some(struct img_in *in, void *p, size_t len_bytes, size_t *ret_read)
{
	int old, n;

	if (!in->have_thread)
		return img_in_read(in->fd, p, len_bytes, ret_read);
	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &old);
	n = img_in_read(in->fd, p, len_bytes, ret_read);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old);
	return n;
}

/* Of a body, added to its checksum. */
static int read_bytes(struct img_in *in, void *p, size_t len_bytes, struct err *err)
{
	size_t got;

	for (size_t at = 0; at < len_bytes; at += got) {
		/* In pieces that are still in the cache when they are summed up: that is half of the time. */
		size_t len = MIN(len_bytes - at, (size_t)READ_BYTES);
		int n = read_some(in, (uint8_t *)p + at, len, &got);

		if (n < 0)
			return err_sys(err, "reading");
		if (!n)
			return err_set(err, ERR_IMAGE,
				       "truncated: the stream ends, %zu of %zu bytes are missing",
				       len_bytes - at - got, len_bytes);
		img_sum_more(in->sum, (uint8_t *)p + at, got);
	}
	return 0;
}

static int read_body(struct img_in *in, struct buf *body, size_t len_bytes, struct err *err)
{
	/* Piece by piece, so that a false length costs no more memory than there are bytes. */
	while (len_bytes) {
		size_t n = MIN(len_bytes, (size_t)READ_BYTES);

		if (read_bytes(in, buf_reserve(body, n), n, err))
			return -1;
		body->len_bytes += n;
		len_bytes -= n;
	}
	return 0;
}

static size_t batch_bytes(const struct img_in *in)
{
	return (size_t)IMG_BATCH_PAGES * in->page_bytes;
}

static uint8_t *map_batch(size_t len_bytes)
{
	void *p = mmap(NULL, len_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		abort(); /* as lib/mem.h */
	madvise(p, len_bytes, MADV_HUGEPAGE);
	return p;
}

/* --- records --- */

static const char *type_name(uint16_t type)
{
	const struct img_codec *codec = img_codec_of_type(type);

	switch (type) {
	case IMG_REC_PAGES:
		return "pages";
	case IMG_REC_ROUND_END:
		return "round_end";
	case IMG_REC_END:
		return "end";
	default:
		return codec ? codec->name : "unknown";
	}
}

int img_in_where(const struct img_in_record *rec, struct err *err)
{
	return err_ctx(err, "image: record %llu (%s) at offset %llu", (unsigned long long)rec->number,
		       type_name(rec->type), (unsigned long long)rec->offset);
}

static int read_header(struct img_in *in, struct img_in_record *rec, uint8_t *header, struct err *err)
{
	struct cur c = cur_of(header, IMG_RECORD_BYTES);
	size_t got;
	int n = read_some(in, header, IMG_RECORD_BYTES, &got);

	rec->type = 0;
	if (n < 0)
		return err_sys(err, "image: reading record %llu at offset %llu",
			       (unsigned long long)rec->number, (unsigned long long)rec->offset);
	if (!n)
		return err_set(err, ERR_IMAGE,
			       "image: truncated: the stream ends in record %llu at offset %llu, before END",
			       (unsigned long long)rec->number, (unsigned long long)rec->offset + got);
	rec->type = cur_u16(&c);
	rec->flags = cur_u16(&c);
	rec->len_bytes = cur_u32(&c);
	rec->sum = cur_u64(&c);
	return 0;
}

static int read_pages_body(struct img_in *in, struct img_in_record *rec, struct err *err)
{
	struct img_batch b;

	if (rec->len_bytes < IMG_PAGES_BYTES)
		return err_set(err, ERR_IMAGE, "impossible length: damaged");
	if (read_body(in, &rec->body, IMG_PAGES_BYTES, err) ||
	    img_batch_parse(&rec->body, in->page_bytes, rec->len_bytes, &b, err) ||
	    read_body(in, &rec->body, b.data_offset - IMG_PAGES_BYTES, err))
		return -1;
	rec->data_bytes = b.data_bytes;
	if (b.data_bytes && !rec->data) {
		rec->data = map_batch(batch_bytes(in));
		rec->packed = map_batch(batch_bytes(in));
	}
	return read_bytes(in, b.coding == IMG_RAW ? rec->data : rec->packed, b.data_bytes, err);
}

/* Reads one record and checks what holds for all: length, flags, checksum. */
static int read_record(struct img_in *in, struct img_in_record *rec, struct err *err)
{
	uint8_t header[IMG_RECORD_BYTES];
	bool right;

	rec->number = in->number;
	rec->offset = in->offset;
	rec->data_bytes = 0;
	buf_clear(&rec->body);
	if (read_header(in, rec, header, err))
		return -1;
	if (rec->len_bytes > IMG_MAX_BODY_BYTES) {
		err_set(err, ERR_IMAGE, "length %u is impossible: damaged", rec->len_bytes);
		return img_in_where(rec, err);
	}
	img_sum_begin(in->sum, rec->number, header);
	if (rec->type == IMG_REC_PAGES ? read_pages_body(in, rec, err)
				       : read_body(in, &rec->body, rec->len_bytes, err))
		return img_in_where(rec, err);
	right = img_sum_end(in->sum) == rec->sum;
	if (!right || (rec->flags & ~IMG_FLAG_OPTIONAL)) {
		err_set(err, ERR_IMAGE,
			!right ? "damaged (checksum)" : "unknown flags: the image is of a newer Verst");
		return img_in_where(rec, err);
	}
	in->number++;
	in->offset += IMG_RECORD_BYTES + rec->len_bytes;
	return 0;
}

/* --- reading ahead --- */

static bool read_next(struct img_in *in)
{
	struct img_in_record *rec = &in->slots[in->nr_read % NR_SLOTS];

	rec->failed = read_record(in, rec, &rec->err) != 0;
	return !rec->failed && rec->type != IMG_REC_END;
}

static void *reader(void *arg)
{
	struct img_in *in = arg;
	bool more = true;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	/* Else setns(2) to a mount namespace would be refused to the engine's thread (fs/namespace.c:
	 * fs->users != 1). */
	unshare(CLONE_FS);
	pthread_mutex_lock(&in->lock);
	while (more) {
		while (!in->stop && in->nr_read - in->nr_done == NR_SLOTS)
			pthread_cond_wait(&in->changed, &in->lock);
		if (in->stop)
			break;
		pthread_mutex_unlock(&in->lock);
		more = read_next(in);
		pthread_mutex_lock(&in->lock);
		in->nr_read++;
		pthread_cond_broadcast(&in->changed);
	}
	pthread_mutex_unlock(&in->lock);
	return NULL;
}

/* Without a thread (no room for one), the caller reads by itself. */
static void start_thread(struct img_in *in)
{
	sigset_t all, old;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	in->have_thread = true; /* before it looks */
	if (pthread_create(&in->thread, NULL, reader, in))
		in->have_thread = false;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

int img_in_next(struct img_in *in, struct img_in_record **ret, struct err *err)
{
	struct img_in_record *rec;

	pthread_mutex_lock(&in->lock);
	in->nr_done += in->at_hand;
	in->at_hand = true;
	pthread_cond_broadcast(&in->changed);
	while (in->have_thread && in->nr_read == in->nr_done)
		pthread_cond_wait(&in->changed, &in->lock);
	pthread_mutex_unlock(&in->lock);
	rec = &in->slots[in->nr_done % NR_SLOTS];
	if (!in->have_thread) {
		bool more = read_next(in);

		in->nr_read++;
		if (more && rec->type == IMG_REC_PAGES && rec->data_bytes >= THREAD_FROM_BYTES)
			start_thread(in);
	}
	*ret = rec;
	if (rec->failed)
		*err = rec->err;
	return rec->failed ? -1 : 0;
}

struct img_in *img_in_open(int fd, uint32_t page_bytes, uint64_t offset)
{
	struct img_in *in = mem_new(struct img_in);

	in->fd = fd;
	in->page_bytes = page_bytes;
	in->offset = offset;
	in->sum = XXH3_createState();
	if (!in->sum)
		abort(); /* as lib/mem.h */
	pthread_mutex_init(&in->lock, NULL);
	pthread_cond_init(&in->changed, NULL);
	return in;
}

void img_in_close(struct img_in *in)
{
	if (!in)
		return;
	if (in->have_thread) {
		pthread_mutex_lock(&in->lock);
		in->stop = true;
		pthread_cond_broadcast(&in->changed);
		pthread_mutex_unlock(&in->lock);
		pthread_cancel(in->thread);
		pthread_join(in->thread, NULL);
	}
	for (size_t i = 0; i < NR_SLOTS; i++) {
		buf_free(&in->slots[i].body);
		if (in->slots[i].data) {
			munmap(in->slots[i].data, batch_bytes(in));
			munmap(in->slots[i].packed, batch_bytes(in));
		}
	}
	pthread_cond_destroy(&in->changed);
	pthread_mutex_destroy(&in->lock);
	XXH3_freeState(in->sum);
	free(in);
}
