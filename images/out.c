// SPDX-License-Identifier: GPL-2.0-only
#include "images/out.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/uio.h>

#define NR_BLOCKS	  3
#define THREAD_FROM_BYTES (1u << 20) /* a block smaller than this is written at once, by the caller */

struct img_out {
	int fd;
	size_t cap_bytes; /* of a block's data */
	struct img_block blocks[NR_BLOCKS];
	struct img_block *current;

	/* shared with the thread */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct img_block *free_list; /* last used first: its memory is warm */
	struct img_block *queue, **queue_end;
	bool writing, stop;
	int write_errno; /* sticky */

	bool have_thread;
	pthread_t thread;
};

/* All of them; the number of bytes may be beyond what one writev takes. 0 or errno. */
static int write_iov(int fd, struct iovec *iov, size_t nr)
{
	while (nr) {
		ssize_t n = writev(fd, iov, (int)MIN(nr, (size_t)IOV_MAX));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno;
		while (nr && (size_t)n >= iov->iov_len) {
			n -= (ssize_t)iov->iov_len;
			iov++;
			nr--;
		}
		if (nr) {
			iov->iov_base = (uint8_t *)iov->iov_base + n;
			iov->iov_len -= (size_t)n;
		}
	}
	return 0;
}

static int write_block(int fd, const struct img_block *b)
{
	struct iovec iov[IMG_BLOCK_SEGS];

	for (size_t i = 0; i < b->nr_segs; i++) {
		const struct img_seg *s = &b->segs[i];

		iov[i] = (struct iovec){(s->is_data ? b->data : b->head.at) + s->offset, s->len_bytes};
	}
	return write_iov(fd, iov, b->nr_segs);
}

static void *writer(void *arg)
{
	struct img_out *out = arg;

	/* Else setns(2) to a mount namespace would be refused to the engine's thread (fs/namespace.c:
	 * fs->users != 1). */
	unshare(CLONE_FS);
	pthread_mutex_lock(&out->lock);
	while (true) {
		struct img_block *b = out->queue;
		int e;

		if (!b) {
			if (out->stop)
				break;
			pthread_cond_wait(&out->changed, &out->lock);
			continue;
		}
		out->queue = b->next;
		if (!out->queue)
			out->queue_end = &out->queue;
		out->writing = true;
		e = out->write_errno;
		pthread_mutex_unlock(&out->lock);
		if (!e) {
			pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
			e = write_block(out->fd, b);
			pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
		}
		pthread_mutex_lock(&out->lock);
		out->write_errno = e;
		out->writing = false;
		b->next = out->free_list;
		out->free_list = b;
		pthread_cond_broadcast(&out->changed);
	}
	pthread_mutex_unlock(&out->lock);
	return NULL;
}

static void *writer_start(void *arg)
{
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	return writer(arg);
}

/* Without a thread (no room for one), the caller writes by itself. */
static void start_thread(struct img_out *out)
{
	sigset_t all, old;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	out->have_thread = pthread_create(&out->thread, NULL, writer_start, out) == 0;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

struct img_out *img_out_open(int fd, size_t block_data_bytes)
{
	struct img_out *out = mem_new(struct img_out);

	out->fd = fd;
	out->cap_bytes = block_data_bytes;
	out->queue_end = &out->queue;
	pthread_mutex_init(&out->lock, NULL);
	pthread_cond_init(&out->changed, NULL);
	for (size_t i = 0; i < NR_BLOCKS; i++) {
		struct img_block *b = &out->blocks[i];

		b->data = mmap(NULL, block_data_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			       -1, 0);
		if (b->data == MAP_FAILED)
			abort(); /* as lib/mem.h */
		madvise(b->data, block_data_bytes, MADV_HUGEPAGE);
		b->next = out->free_list;
		out->free_list = b;
	}
	out->current = out->free_list;
	out->free_list = out->current->next;
	return out;
}

void img_out_close(struct img_out *out)
{
	if (!out)
		return;
	if (out->have_thread) {
		pthread_mutex_lock(&out->lock);
		out->stop = true;
		out->queue = NULL;
		out->queue_end = &out->queue;
		pthread_cond_broadcast(&out->changed);
		pthread_mutex_unlock(&out->lock);
		pthread_cancel(out->thread); /* it may wait for a pipe that nobody reads */
		pthread_join(out->thread, NULL);
	}
	for (size_t i = 0; i < NR_BLOCKS; i++) {
		munmap(out->blocks[i].data, out->cap_bytes);
		buf_free(&out->blocks[i].head);
	}
	pthread_cond_destroy(&out->changed);
	pthread_mutex_destroy(&out->lock);
	free(out);
}

struct img_block *img_out_block(struct img_out *out)
{
	return out->current;
}

static void add_seg(struct img_block *b, bool is_data, size_t offset, size_t len_bytes)
{
	struct img_seg *last = b->nr_segs ? &b->segs[b->nr_segs - 1] : NULL;

	if (last && last->is_data == is_data && last->offset + last->len_bytes == offset)
		last->len_bytes += len_bytes;
	else
		b->segs[b->nr_segs++] = (struct img_seg){is_data, offset, len_bytes};
}

void img_out_head(struct img_block *b, size_t len_bytes)
{
	add_seg(b, false, b->head.len_bytes - len_bytes, len_bytes);
}

void img_out_data(struct img_block *b, size_t offset, size_t len_bytes)
{
	add_seg(b, true, offset, len_bytes);
}

static int failed(struct img_out *out, int e, struct err *err)
{
	out->write_errno = e;
	errno = e;
	return err_sys(err, "writing the image");
}

static size_t block_bytes(const struct img_block *b)
{
	size_t sum = 0;

	for (size_t i = 0; i < b->nr_segs; i++)
		sum += b->segs[i].len_bytes;
	return sum;
}

static void clear_block(struct img_block *b)
{
	buf_clear(&b->head);
	b->data_bytes = 0;
	b->nr_segs = 0;
}

/* In the caller's thread; all that was queued is written before. */
static int write_now(struct img_out *out, struct err *err)
{
	int e;

	pthread_mutex_lock(&out->lock);
	while (out->queue || out->writing)
		pthread_cond_wait(&out->changed, &out->lock);
	e = out->write_errno;
	pthread_mutex_unlock(&out->lock);
	if (!e)
		e = write_block(out->fd, out->current);
	clear_block(out->current);
	return e ? failed(out, e, err) : 0;
}

int img_out_submit(struct img_out *out, struct err *err)
{
	int e;

	if (!out->have_thread && block_bytes(out->current) >= THREAD_FROM_BYTES)
		start_thread(out);
	if (!out->have_thread)
		return write_now(out, err);
	pthread_mutex_lock(&out->lock);
	out->current->next = NULL;
	*out->queue_end = out->current;
	out->queue_end = &out->current->next;
	pthread_cond_broadcast(&out->changed);
	while (!out->free_list)
		pthread_cond_wait(&out->changed, &out->lock);
	out->current = out->free_list;
	out->free_list = out->current->next;
	e = out->write_errno;
	pthread_mutex_unlock(&out->lock);
	clear_block(out->current);
	return e ? failed(out, e, err) : 0;
}

int img_out_flush(struct img_out *out, struct err *err)
{
	return write_now(out, err);
}
