// SPDX-License-Identifier: GPL-2.0-only
#include "ve/tool.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#define OUTPUT_MAX_BYTES (1 << 20)
#define TAIL_BYTES	 400

static void exec_tool(const char *const *argv, int out, int errors)
{
	sigset_t none;
	int null = open("/dev/null", O_RDONLY);

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (null < 0 || dup2(null, 0) < 0 || dup2(out, 1) < 0 || dup2(errors, 2) < 0)
		_exit(126);
	close_range(3, ~0u, 0);
	execvp(argv[0], (char *const *)(uintptr_t)argv);
	_exit(errno == ENOENT ? 127 : 126);
}

struct stream {
	int fd;
	struct buf text;
};

static void take(struct stream *s, int log_fd)
{
	ssize_t n = read(s->fd, buf_reserve(&s->text, 4096), 4096);
	struct err ignored = ERR_INIT;

	if (n <= 0) {
		close(fd_take(&s->fd));
		return;
	}
	if (log_fd >= 0)
		io_write_full(log_fd, s->text.at + s->text.len_bytes, (size_t)n, &ignored);
	s->text.len_bytes += (size_t)n;
	if (s->text.len_bytes > OUTPUT_MAX_BYTES)
		s->text.len_bytes = 0;
}

/* [0] standard output, [1] standard error */
static void collect(struct stream s[2], int log_fd, bool keep_out)
{
	while (s[0].fd >= 0 || s[1].fd >= 0) {
		struct pollfd p[2] = {{.fd = s[0].fd, .events = POLLIN}, {.fd = s[1].fd, .events = POLLIN}};

		if (poll(p, 2, -1) < 0 && errno != EINTR)
			return;
		for (int i = 0; i < 2; i++)
			if (s[i].fd >= 0 && p[i].revents)
				take(&s[i], i == 0 && keep_out ? -1 : log_fd);
	}
}

static int judge(const char *name, int status, struct buf *errors, struct err *err)
{
	const char *tail = "";

	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		return err_set(err, ERR_SYSTEM, "%s is not installed", name);
	if (errors->len_bytes) {
		while (errors->len_bytes && errors->at[errors->len_bytes - 1] == '\n')
			errors->len_bytes--;
		buf_put_u8(errors, 0);
		tail = (char *)errors->at +
		       (errors->len_bytes > TAIL_BYTES ? errors->len_bytes - TAIL_BYTES : 0);
	}
	return err_set(err, ERR_SYSTEM, "%s failed (%s %d)%s%s", name,
		       WIFEXITED(status) ? "exit status" : "signal",
		       WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status), *tail ? ": " : "", tail);
}

int tool_run(const char *const *argv, int log_fd, struct buf *ret_out, struct err *err)
{
	struct stream s[2] = {{.fd = -1}, {.fd = -1}};
	int out[2], errors[2], status = 0, r;
	pid_t pid;

	if (pipe2(out, O_CLOEXEC))
		return err_sys(err, "pipe");
	if (pipe2(errors, O_CLOEXEC)) {
		close(out[0]);
		close(out[1]);
		return err_sys(err, "pipe");
	}
	pid = fork();
	if (!pid)
		exec_tool(argv, out[1], errors[1]);
	close(out[1]);
	close(errors[1]);
	s[0].fd = out[0];
	s[1].fd = errors[0];
	collect(s, log_fd, ret_out != NULL);
	if (pid > 0)
		waitpid(pid, &status, 0);
	r = pid < 0 ? err_sys(err, "fork") : judge(argv[0], status, &s[1].text, err);
	if (!r && ret_out) {
		buf_put_u8(&s[0].text, 0);
		s[0].text.len_bytes--;
		*ret_out = s[0].text;
		s[0].text = (struct buf){0};
	}
	buf_free(&s[0].text);
	buf_free(&s[1].text);
	return r;
}
