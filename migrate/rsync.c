// SPDX-License-Identifier: GPL-2.0-only
#include "migrate/rsync.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define TICK_MS		  200
#define STDERR_KEEP_BYTES 1024
#define SOME_FAILED	  23
#define SOME_VANISHED	  24 /* rsync(1): files vanished while it ran: the VE lives, the next pass knows */

/* trusted.overlay.*: opaque, redirect, metacopy and protattr are about content and travel; these are about
 * the layers of this node and would be lies on another. */
static const char *const left_behind[] = {"origin", "impure", "nlink", "upper", "uuid"};

void rsync_exclude(struct buf *excludes, const char *path)
{
	bool pattern = strpbrk(path, "*?[") != NULL;

	buf_put_u8(excludes, '/');
	for (; *path; path++) {
		/* rsync takes a backslash for an escape only where there is something to escape */
		if (pattern && strchr("*?[\\", *path))
			buf_put_u8(excludes, '\\');
		buf_put_u8(excludes, (uint8_t)*path);
	}
	buf_put_u8(excludes, 0);
}

bool rsync_parse_progress(const char *text, uint64_t *ret_bytes, unsigned *ret_percent,
			  uint64_t *ret_bytes_per_s)
{
	uint64_t bytes = 0;
	unsigned percent;
	double rate;
	char unit;
	int used;

	while (*text == ' ')
		text++;
	if (!isdigit((unsigned char)*text))
		return false;
	for (; isdigit((unsigned char)*text) || *text == ',' || *text == '.'; text++)
		if (isdigit((unsigned char)*text))
			bytes = bytes * 10 + (uint64_t)(*text - '0');
	if (sscanf(text, " %u%%%n", &percent, &used) != 1 || percent > 100)
		return false;
	if (sscanf(text + used, " %lf%cB/s", &rate, &unit) != 2)
		return false;
	*ret_bytes = bytes;
	*ret_percent = percent;
	*ret_bytes_per_s = (uint64_t)(rate * (unit == 'G'   ? 1 << 30
					      : unit == 'M' ? 1 << 20
					      : unit == 'k' ? 1 << 10
							    : 1));
	return true;
}

/* --- the child --- */

static char *own_path(void)
{
	char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);

	path[n > 0 ? n : 0] = 0;
	/* rsync splits its -e at blanks, and knows quotes */
	return mem_printf("'%s' __rsh", n > 0 ? path : "verst");
}

static void set_or_unset(const char *name, const char *value)
{
	if (value)
		setenv(name, value, 1);
	else
		unsetenv(name);
}

static char **arguments(const struct rsync_job *job)
{
	VEC(char *) v = {0};

	vec_push(&v, mem_strdup("rsync"));
	vec_push(&v, mem_strdup("-aHAXS"));
	vec_push(&v, mem_strdup("--numeric-ids"));
	vec_push(&v, mem_strdup("--delete"));
	vec_push(&v, mem_strdup("--inplace"));
	vec_push(&v, mem_strdup("--timeout=60"));
	vec_push(&v, mem_strdup("--outbuf=N"));
	vec_push(&v, mem_strdup("--info=progress2"));
	vec_push(&v, mem_strdup("--from0"));
	vec_push(&v, mem_strdup("--exclude-from=-"));
	for (size_t i = 0; i < ARRAY_LEN(left_behind); i++)
		vec_push(&v, mem_printf("--filter=-x trusted.overlay.%s", left_behind[i]));
	if (job->bytes_per_s)
		vec_push(&v,
			 mem_printf("--bwlimit=%llu", (unsigned long long)(job->bytes_per_s + 1023) / 1024));
	vec_push(&v, mem_strdup("-e"));
	vec_push(&v, own_path());
	vec_push(&v, mem_strdup("--"));
	vec_push(&v, mem_printf("%s/", job->from));
	vec_push(&v, mem_printf("node:%s/", job->to));
	vec_add(&v);
	return v.at;
}

static void free_arguments(char **argv)
{
	for (char **at = argv; *at; at++)
		free(*at);
	free(argv);
}

static int exclude_file(const struct buf *excludes, int *ret_fd, struct err *err)
{
	_fd_ int fd = memfd_create("verst-exclude", MFD_CLOEXEC);

	if (fd < 0)
		return err_sys(err, "memfd");
	if (excludes && excludes->len_bytes && io_write_full(fd, excludes->at, excludes->len_bytes, err))
		return -1;
	lseek(fd, 0, SEEK_SET);
	*ret_fd = fd_take(&fd);
	return 0;
}

static pid_t spawn(const struct rsync_job *job, char **argv, int in_fd, int out_fd, int err_fd)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	signal(SIGPIPE, SIG_DFL);
	if (dup2(in_fd, 0) < 0 || dup2(out_fd, 1) < 0 || dup2(err_fd, 2) < 0)
		_exit(127);
	set_or_unset(RSYNC_ENV_TARGET, job->target);
	set_or_unset(RSYNC_ENV_KEY, job->key_path);
	set_or_unset(RSYNC_ENV_KNOWN_HOSTS, job->known_hosts);
	setenv("LC_ALL", "C", 1);
	execvp("rsync", argv);
	dprintf(2, "rsync: %s\n", strerror(errno));
	_exit(127);
}

/* --- watching it --- */

struct watch {
	const struct rsync_job *job;
	char line[256];
	size_t line_len;
	char said[STDERR_KEEP_BYTES + 1];
	size_t said_len;
	uint64_t bytes, bytes_per_s;
	unsigned percent;
};

static void take_progress(struct watch *w, int fd, bool *ret_open)
{
	char bytes[4096];
	ssize_t n = read(fd, bytes, sizeof(bytes));

	*ret_open = n > 0 || (n < 0 && errno == EINTR);
	for (ssize_t i = 0; i < n; i++) {
		if (bytes[i] != '\r' && bytes[i] != '\n') {
			if (w->line_len < sizeof(w->line) - 1)
				w->line[w->line_len++] = bytes[i];
			continue;
		}
		w->line[w->line_len] = 0;
		rsync_parse_progress(w->line, &w->bytes, &w->percent, &w->bytes_per_s);
		w->line_len = 0;
	}
}

static void take_words(struct watch *w, int fd, bool *ret_open)
{
	char bytes[1024];
	ssize_t n = read(fd, bytes, sizeof(bytes));

	*ret_open = n > 0 || (n < 0 && errno == EINTR);
	/* the first words name the cause, what follows are consequences */
	for (ssize_t i = 0; i < n && w->said_len < STDERR_KEEP_BYTES; i++)
		w->said[w->said_len++] = bytes[i] == '\n'		    ? ' '
					 : isprint((unsigned char)bytes[i]) ? bytes[i]
									    : '?';
	w->said[w->said_len] = 0;
}

static int watch(struct watch *w, int out_fd, int err_fd, struct err *err)
{
	bool out_open = true, err_open = true;

	while (out_open || err_open) {
		struct pollfd fds[2] = {{.fd = out_open ? out_fd : -1, .events = POLLIN},
					{.fd = err_open ? err_fd : -1, .events = POLLIN}};

		poll(fds, 2, TICK_MS);
		if (fds[0].revents)
			take_progress(w, out_fd, &out_open);
		if (fds[1].revents)
			take_words(w, err_fd, &err_open);
		if (w->job->tick(w->job->arg, w->bytes, w->percent, w->bytes_per_s, err))
			return -1;
	}
	return 0;
}

static unsigned count(const char *text, const char *word)
{
	unsigned nr = 0;

	for (text = strstr(text, word); text; text = strstr(text + 1, word))
		nr++;
	return nr;
}

/* A file that vanishes between its listing and the reading of its attributes is code 23 instead of 24. */
static bool only_vanished(const struct watch *w)
{
	unsigned nr = count(w->said, "rsync: [");

	return nr && w->said_len < STDERR_KEEP_BYTES && nr == count(w->said, "No such file or directory (2)");
}

static int judge(const struct watch *w, int status, struct err *err)
{
	int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;

	if (code == 0 || code == SOME_VANISHED || (code == SOME_FAILED && only_vanished(w)))
		return 0;
	if (code == 127 && strstr(w->said, "rsync: "))
		return err_set(err, ERR_SYSTEM, "files: %s (is rsync installed on this node?)", w->said);
	return err_set(err, ERR_REMOTE, "files: rsync ended with code %d: %s", code, w->said);
}

int rsync_run(const struct rsync_job *job, uint64_t *ret_bytes, struct err *err)
{
	struct watch w = {.job = job};
	_fd_ int exclude_fd = -1, out_r = -1, out_w = -1, err_r = -1, err_w = -1;
	int out[2], errs[2], status, failed;
	char **argv;
	pid_t pid;

	if (exclude_file(job->excludes, &exclude_fd, err))
		return -1;
	if (pipe2(out, O_CLOEXEC))
		return err_sys(err, "pipe");
	out_r = out[0];
	out_w = out[1];
	if (pipe2(errs, O_CLOEXEC))
		return err_sys(err, "pipe");
	err_r = errs[0];
	err_w = errs[1];
	argv = arguments(job);
	pid = spawn(job, argv, exclude_fd, out_w, err_w);
	free_arguments(argv);
	if (pid < 0)
		return err_sys(err, "fork");
	close(fd_take(&out_w));
	close(fd_take(&err_w));
	failed = watch(&w, out_r, err_r, err);
	if (failed)
		kill(pid, SIGTERM);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (failed || judge(&w, status, err))
		return -1;
	*ret_bytes = w.bytes;
	return 0;
}
