// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "migrate/pump.h"
#include "migrate/ssh.h"

/* --- SSH --- */

static ssize_t ssh_end_read(void *arg, void *p, size_t len_bytes)
{
	return ssh_read(arg, p, len_bytes);
}

static ssize_t ssh_end_write(void *arg, const void *p, size_t len_bytes)
{
	return ssh_write(arg, p, len_bytes);
}

static int ssh_end_fd(void *arg)
{
	return ssh_fd(arg);
}

static short ssh_end_events(void *arg, bool want_write)
{
	/* libssh2 says POLLOUT when the socket is full; else it waits for the far side to open its window:
	 * POLLIN */
	return ssh_poll_events(arg);
}

static char *ssh_end_why(void *arg, bool ended)
{
	const char *said = ssh_far_stderr(arg), *broke = ssh_link_error(arg);
	int status = ended ? ssh_exit_status(arg) : -1;

	if (*said)
		return mem_printf("it said: %s", said);
	if (status > 0)
		return mem_printf("its agent ended with code %d", status);
	return *broke ? mem_strdup(broke) : NULL;
}

static void ssh_end_close(void *arg)
{
	ssh_close(arg);
}

struct transport transport_ssh(struct ssh *s)
{
	return (struct transport){s,	       ssh_end_read, ssh_end_write, ssh_end_fd, ssh_end_events,
				  ssh_end_why, ssh_end_close};
}

/* --- a socket --- */

static int fd_of(void *arg)
{
	return (int)(intptr_t)arg;
}

static ssize_t fd_read(void *arg, void *p, size_t len_bytes)
{
	return recv(fd_of(arg), p, len_bytes, MSG_DONTWAIT);
}

static ssize_t fd_write(void *arg, const void *p, size_t len_bytes)
{
	return send(fd_of(arg), p, len_bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static short fd_events(void *arg, bool want_write)
{
	return (short)(POLLIN | (want_write ? POLLOUT : 0));
}

static char *fd_why(void *arg, bool ended)
{
	return NULL;
}

static void fd_close(void *arg)
{
	close(fd_of(arg));
}

struct transport transport_fd(int fd)
{
	return (struct transport){
		(void *)(intptr_t)fd, fd_read, fd_write, fd_of, fd_events, fd_why, fd_close};
}
