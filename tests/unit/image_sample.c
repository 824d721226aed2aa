// SPDX-License-Identifier: GPL-2.0-only
#include "tests/unit/image_sample.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static struct bytes text(const char *s)
{
	return bytes_dup(s, strlen(s));
}

static struct bytes ip4(uint8_t a, uint8_t b, uint8_t c, uint8_t d)
{
	return bytes_dup((uint8_t[]){a, b, c, d}, 4);
}

static void add_ve(struct model *m)
{
	*vec_add(&m->ve) = (struct ve_obj){.id = 101,
					   .conf = mem_strdup("HOSTNAME=\"sample\"\n"),
					   .template_name = mem_strdup("busybox"),
					   .template_digest = mem_strdup(""),
					   .hostname = mem_strdup("sample"),
					   .domainname = mem_strdup("(none)"),
					   .kernel_release = mem_strdup("6.18.0"),
					   .page_bytes = 4096,
					   .monotonic_ns = 5000000000,
					   .boottime_ns = 5000000001};
}

static void add_tree(struct model *m, uint32_t round, bool frozen)
{
	struct tree_obj *tree = vec_add(&m->trees);

	tree->round = round;
	tree->frozen = frozen;
	vec_push(&tree->tasks,
		 ((struct tree_task){.pid = 1, .pgid = 1, .sid = 1, .mm = 1, .fresh = round == 1}));
	vec_push(&tree->tasks, ((struct tree_task){.pid = 7,
						   .ppid = 1,
						   .pgid = 7,
						   .sid = 7,
						   .mm = 2,
						   .mm_from = 1,
						   .fresh = round == 1}));
	if (frozen)
		vec_push(&tree->tasks, ((struct tree_task){.pid = 9, .ppid = 7, .pgid = 7, .sid = 7}));
}

static void add_cgroups(struct model *m)
{
	struct cgroup_obj *g = vec_add(&m->cgroups);

	*g = (struct cgroup_obj){.id = 1, .path = mem_strdup("/"), .mode = 0755};
	vec_push(&g->files, ((struct cgroup_file){mem_strdup("cgroup.subtree_control"),
						  mem_strdup("memory pids"), 0, 0, 0644}));
	g = vec_add(&m->cgroups);
	*g = (struct cgroup_obj){
		.id = 2, .path = mem_strdup("/init.scope"), .uid = 1000, .gid = 1000, .mode = 0750};
	vec_push(&g->files, ((struct cgroup_file){mem_strdup("pids.max"), mem_strdup("512"), 0, 0, 0644}));
	vec_push(&g->files,
		 ((struct cgroup_file){mem_strdup("cgroup.procs"), NULL, 0, CGROUP_FOREIGN, 0600}));
	vec_push(&g->xattrs, ((struct cgroup_xattr){mem_strdup("user.delegate"), text("1")}));
}

static void add_ns(struct model *m)
{
	struct netns_obj *n;

	*vec_add(&m->mounts) = (struct mount_obj){.id = 1,
						  .mountpoint = mem_strdup("/"),
						  .root = mem_strdup("/"),
						  .fstype = mem_strdup("overlay"),
						  .source = mem_strdup("verst"),
						  .options = mem_strdup("rw,relatime"),
						  .super_options = mem_strdup("rw"),
						  .dev_minor = 40,
						  .made_by_boot = true};
	*vec_add(&m->mounts) = (struct mount_obj){.id = 2,
						  .parent = 1,
						  .mountpoint = mem_strdup("/run"),
						  .root = mem_strdup("/"),
						  .fstype = mem_strdup("tmpfs"),
						  .source = mem_strdup("tmpfs"),
						  .options = mem_strdup("rw"),
						  .super_options = mem_strdup("rw,size=1024k"),
						  .dev_minor = 41};
	*vec_add(&m->fsents) = (struct fsent_obj){.mount = 2,
						  .path = mem_strdup("lock"),
						  .mode = S_IFREG | 0644,
						  .size_bytes = 5,
						  .content = text("hello")};
	vec_push(&m->fsents.at[0].xattrs, ((struct fsent_xattr){mem_strdup("user.a"), text("b")}));
	n = vec_add(&m->netns);
	vec_push(&n->links, ((struct link_obj){mem_strdup("lo"), mem_strdup(""), 1, 65536, 0x49, {0}}));
	vec_push(&n->addrs, ((struct addr_obj){.link = mem_strdup("lo"),
					       .family = AF_INET,
					       .prefix_len = 8,
					       .local = ip4(127, 0, 0, 1)}));
	vec_push(&n->addrs, ((struct addr_obj){.link = mem_strdup("lo"),
					       .family = AF_INET6,
					       .prefix_len = 128,
					       .peer = bytes_dup("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1", 16)}));
	vec_push(&n->routes,
		 ((struct route_obj){.family = AF_INET, .table = 254, .type = 1, .link = mem_strdup("lo")}));
	vec_push(&n->sysctls, ((struct sysctl_obj){mem_strdup("core/somaxconn"), mem_strdup("128")}));
	add_cgroups(m);
}

static void add_ipc(struct model *m)
{
	*vec_add(&m->ipc) = (struct ipc_obj){.shmmax = UINT64_MAX >> 1,
					     .shmall = 1 << 20,
					     .shmmni = 4096,
					     .msgmax = 8192,
					     .msgmnb = 16384,
					     .msgmni = 32000,
					     .semmsl = 32000,
					     .semmns = 1024000000,
					     .semopm = 500,
					     .semmni = 32000};
}

static void add_queue(struct model *m)
{
	struct msgq_obj *q = vec_add(&m->msgqs);

	*q = (struct msgq_obj){
		.id = 32770, .perm = {.key = 0x5652534d, .mode = 0620, .uid = 5, .cgid = 6}, .qbytes = 9000};
	vec_push(&q->messages, ((struct msgq_message){3, bytes_dup("first", 5)}));
	vec_push(&q->messages, ((struct msgq_message){INT64_MAX, {0}}));
}

static void add_semaphores(struct model *m)
{
	struct semset_obj *s = vec_add(&m->semsets);

	*s = (struct semset_obj){.id = 3, .perm = {.key = 0x56525353, .mode = 0600}, .used = true};
	vec_push(&s->values, 5u);
	vec_push(&s->values, 0u);
	vec_push(&s->undos, ((struct sem_undo){.pid = 1, .nr = 1, .adjust = -2}));
}

static void add_memory(struct model *m)
{
	*vec_add(&m->ghosts) = (struct ghost_obj){1, S_IFREG | 0600, 0, 0, 4096, 17, mem_strdup("/tmp")};
	*vec_add(&m->regs) = (struct reg_obj){1, mem_strdup("/bin/busybox"), S_IFREG | 0755, 8192, 18, 0};
	*vec_add(&m->regs) = (struct reg_obj){2, mem_strdup("/tmp/gone"), S_IFREG | 0600, 4096, 17, 1};
	*vec_add(&m->shms) = (struct shm_obj){
		.id = 1, .kind = SHM_MEMFD, .size_bytes = 4096, .name = mem_strdup("shared")};
	*vec_add(&m->shms) = (struct shm_obj){.id = 2,
					      .kind = SHM_SYSV,
					      .size_bytes = 5000,
					      .name = mem_strdup(""),
					      .mode = 0640,
					      .ipc_id = 32769,
					      .key = 0x56525354,
					      .uid = 5};
	for (mm_id id = 1; id <= 2; id++) {
		struct mm_obj *mm = vec_add(&m->mms);

		mm->id = id;
		vec_push(&mm->vmas,
			 ((struct vma_obj){
				 .start = 0x400000, .end = 0x402000, .prot = 5, .kind = VMA_FILE, .reg = 1}));
		vec_push(&mm->vmas, ((struct vma_obj){.start = 0x10000000,
						      .end = 0x10080000,
						      .prot = 3,
						      .kind = VMA_ANON,
						      .anon_name = mem_strdup("heap of it")}));
		vec_push(&mm->vmas, ((struct vma_obj){.start = 0x20000000,
						      .end = 0x20001000,
						      .prot = 3,
						      .kind = VMA_SHM,
						      .shm = 1}));
		vec_push(&mm->vmas, ((struct vma_obj){.start = 0x20010000,
						      .end = 0x20011000,
						      .prot = 1,
						      .kind = VMA_SHM,
						      .offset = 0x1000,
						      .shm = 2}));
		mm->start_brk = mm->brk = 0x10000000;
		mm->auxv = bytes_dup("0123456789abcdef", 16);
		mm->exe = 1;
	}
}

static void add_sockets(struct model *m)
{
	struct unix_obj *a = vec_add(&m->unixs), *b = vec_add(&m->unixs);
	struct inet_obj *l, *c;
	struct sock_packet *p;

	a = &m->unixs.at[0];
	*a = (struct unix_obj){.id = 1, .type = SOCK_STREAM, .state = SOCK_ST_CONNECTED, .peer = 2};
	*b = (struct unix_obj){.id = 2, .type = SOCK_STREAM, .state = SOCK_ST_CONNECTED, .peer = 1};
	vec_push(&a->options, ((struct sockopt_obj){SOL_SOCKET, SO_SNDBUF, bytes_dup("\0\0\4\0", 4)}));
	p = vec_add(&b->queue);
	p->data = text("a message");
	p->from_unix = 1;
	vec_push(&p->files, 1);
	l = vec_add(&m->inets);
	c = vec_add(&m->inets);
	l = &m->inets.at[0];
	*l = (struct inet_obj){.id = 1,
			       .family = AF_INET,
			       .type = SOCK_STREAM,
			       .protocol = IPPROTO_TCP,
			       .state = TCP_LISTEN,
			       .src = ip4(0, 0, 0, 0),
			       .src_port = 80,
			       .bound = true,
			       .backlog = 5};
	*c = (struct inet_obj){.id = 2,
			       .family = AF_INET,
			       .type = SOCK_STREAM,
			       .protocol = IPPROTO_TCP,
			       .state = TCP_ESTABLISHED,
			       .src = ip4(10, 0, 0, 2),
			       .dst = ip4(10, 0, 0, 1),
			       .src_port = 80,
			       .dst_port = 40000,
			       .bound = true,
			       .listener = 1,
			       .send_seq = 77,
			       .recv_seq = 99,
			       .send_queue = text("answer"),
			       .recv_queue = text("question"),
			       .unsent_bytes = 2,
			       .mss = 1460};
}

static void add_open_things(struct model *m)
{
	struct pipe_obj *pipe = vec_add(&m->pipes);

	pipe->id = 1;
	pipe->capacity_bytes = 65536;
	vec_push(&pipe->chunks, ((struct pipe_chunk){text("in the pipe"), false}));
	*vec_add(&m->chardevs) = (struct chardev_obj){1, mem_strdup("/dev/null"), 1, 3};
	*vec_add(&m->eventfds) = (struct eventfd_obj){1, 3, true};
	*vec_add(&m->timerfds) = (struct timerfd_obj){.id = 1, .clock = 1, .left_ns = 5, .interval_ns = 6};
	*vec_add(&m->signalfds) = (struct signalfd_obj){1, 0x4000};
	vec_add(&m->inotifys)->id = 1;
	vec_push(&m->inotifys.at[0].watches, ((struct inotify_watch){3, 0x80000002, 1}));
	vec_push(&m->inotifys.at[0].watches, ((struct inotify_watch){7, 0xfff, 2}));
	*vec_add(&m->pidfds) = (struct pidfd_obj){1, 7, 0};
	*vec_add(&m->pidfds) = (struct pidfd_obj){2, 0, 0x300};
	*vec_add(&m->ttys) = (struct tty_obj){.id = 1,
					      .index = 3,
					      .rows = 25,
					      .cols = 80,
					      .has_master = true,
					      .has_slave = true,
					      .mode = 0620,
					      .cc = text("cccc"),
					      .to_slave = text("x")};
	vec_add(&m->epolls)->id = 1;
	vec_push(&m->epolls.at[0].targets, ((struct epoll_target){5, 2, 1, 0x1122334455667788}));
	add_sockets(m);
}

static void add_files(struct model *m)
{
	static const struct {
		enum file_kind kind;
		uint32_t of;
	} files[] = {{FILE_REG, 2},   {FILE_PIPE, 1},	 {FILE_CHARDEV, 1},  {FILE_EVENTFD, 1},
		     {FILE_EPOLL, 1}, {FILE_TIMERFD, 1}, {FILE_SIGNALFD, 1}, {FILE_TTY, 1},
		     {FILE_UNIX, 1},  {FILE_UNIX, 2},	 {FILE_INET, 1},     {FILE_MEMFD, 1},
		     {FILE_PIDFD, 1}, {FILE_PIDFD, 2},	 {FILE_INOTIFY, 1}};
	struct files_obj *table = vec_add(&m->fdtables);

	table->id = 1;
	for (uint32_t i = 0; i < ARRAY_LEN(files); i++) {
		vec_push(&m->files,
			 ((struct file_obj){
				 .id = i + 1, .kind = files[i].kind, .of = files[i].of, .flags = 2}));
		vec_push(&table->fds, ((struct fd_entry){i * 2, i + 1, i & 1}));
	}
	m->files.at[7].tty_master = true;
	*vec_add(&m->fss) = (struct fs_obj){1, mem_strdup("/"), mem_strdup("/root"), 022};
}

static void add_tasks(struct model *m)
{
	vec_add(&m->sighands)->id = 1;
	m->sighands.at[0].actions[14] = (struct sigaction_obj){0x401234, 4, 0x401000, 1};
	for (const struct tree_task *t = m->trees.at[1].tasks.at; t->mm; t++) {
		struct task_obj *task = vec_add(&m->tasks);
		struct thread_obj *thread = vec_add(&task->threads);

		*task = (struct task_obj){.pid = t->pid,
					  .ppid = t->ppid,
					  .pgid = t->pgid,
					  .sid = t->sid,
					  .exit_signal = 17,
					  .mm = t->mm,
					  .files = 1,
					  .fs = 1,
					  .sighand = 1,
					  .threads = task->threads,
					  .cgroup = mem_strdup(t->pid == 1 ? "/init.scope" : "/"),
					  .dumpable = 1,
					  .ctty = t->pid == 7,
					  .ctty_pgrp = 7};
		thread->tid = t->pid;
		thread->comm = mem_strdup("init");
		thread->regs.nr_general = 27;
		for (uint64_t i = 0; i < 27; i++)
			thread->regs.general[i] = i * 0x1111;
		vec_push(&thread->regs.sets, ((struct regset_obj){0x202, text("xstate")}));
		vec_push(&thread->creds.groups, 10);
		thread->creds.cap_bnd = 0x1ffffffffff;
		vec_push(&thread->pending,
			 ((struct siginfo_obj){.signo = 10, .code = -1, .pid = 7, .value = 42}));
		vec_push(&task->posix_timers,
			 ((struct posix_timer_obj){.id = 0, .clock = 1, .signo = 34, .left_ns = 9}));
	}
}

static void add_zombie(struct model *m)
{
	struct task_obj *task = vec_add(&m->tasks);

	*task = (struct task_obj){.pid = 9,
				  .ppid = 7,
				  .pgid = 7,
				  .sid = 7,
				  .state = TASK_ZOMBIE,
				  .exit_code = 0x100,
				  .exit_signal = 17};
	vec_push(&task->threads, ((struct thread_obj){.tid = 9, .comm = mem_strdup("dead")}));
}

void sample_model(struct model *m)
{
	*m = (struct model){0};
	add_ve(m);
	add_tree(m, 1, false);
	add_tree(m, 2, true);
	add_ns(m);
	add_ipc(m);
	add_queue(m);
	add_semaphores(m);
	add_memory(m);
	add_open_things(m);
	add_files(m);
	add_tasks(m);
	add_zombie(m);
}

static void check(int failed, const struct err *err)
{
	if (failed) {
		fprintf(stderr, "%s\n", err->msg);
		abort();
	}
}

/* Pages with something in them, one zero page in between, and a run of each other kind. */
static void put_pages(struct img_writer *w, size_t nr_pages, uint8_t salt)
{
	struct err err = ERR_INIT;
	uint8_t *p;

	check(img_pages_begin(w, PAGES_MM, 1, &err), &err);
	p = img_pages_room(w, nr_pages, &err);
	memset(p, 0, nr_pages * 4096);
	for (size_t i = 0; i < nr_pages; i++) {
		if (i != 3)
			memset(p + i * 4096 + 8, (int)(i + salt), 100);
	}
	check(img_pages_commit(w, 0x10000000, nr_pages, &err), &err);
	check(img_pages_run(w, 0x10000000 + nr_pages * 4096, 5, PAGES_ZERO, &err), &err);
	check(img_pages_end(w, &err), &err);
	check(img_pages_begin(w, PAGES_MM, 2, &err), &err);
	check(img_pages_run(w, 0x10000000, nr_pages, PAGES_INHERIT, &err), &err);
	check(img_pages_end(w, &err), &err);
}

void sample_write(int fd, bool compress, size_t nr_pages)
{
	struct img_writer_opts opts = {
		.arch = "x86", .page_bytes = 4096, .compress = compress, .created_unix = 1700000000};
	struct err err = ERR_INIT;
	struct img_writer *w;
	struct model m;

	sample_model(&m);
	check(img_writer_open(fd, &opts, &w, &err), &err);
	check(img_put_ve(w, &m.ve.at[0], &err), &err);
	check(img_put_tree(w, &m.trees.at[0], &err), &err);
	check(img_put_ghost(w, &m.ghosts.at[0], &err), &err);
	vec_each(reg, &m.regs)
		check(img_put_reg(w, reg, &err), &err);
	vec_each(shm, &m.shms)
		check(img_put_shm(w, shm, &err), &err);
	vec_each(mm, &m.mms)
		check(img_put_mm(w, mm, &err), &err);
	put_pages(w, nr_pages, 0);
	check(img_round_end(w, 1, &err), &err);
	model_free_tree(&m.trees.at[0]);
	m.trees.at[0] = m.trees.at[1];
	m.trees.nr = 1;
#define OBJECT(name, type, struct_, member)                                                                  \
	vec_each(obj, &m.member)                                                                             \
		check(img_put_##name(w, obj, &err), &err);
#include "model/objects.def"
#undef OBJECT
	put_pages(w, nr_pages, 1);
	check(img_writer_end(w, &err), &err);
	img_writer_close(w);
	model_free(&m);
}

uint8_t *sample_image(bool compress, size_t nr_pages, size_t *ret_len_bytes)
{
	int fd = memfd_create("image", MFD_CLOEXEC);
	struct err err = ERR_INIT;
	uint8_t *p;

	sample_write(fd, compress, nr_pages);
	*ret_len_bytes = (size_t)lseek(fd, 0, SEEK_CUR);
	lseek(fd, 0, SEEK_SET);
	p = mem_alloc(*ret_len_bytes);
	check(io_read_full(fd, p, *ret_len_bytes, &err), &err);
	close(fd);
	return p;
}
