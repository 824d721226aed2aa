// SPDX-License-Identifier: GPL-2.0-only
#include "model/model.h"

/* --- what each kind owns --- */

static void free_bytes(struct bytes *b)
{
	free(b->at);
	*b = (struct bytes){0};
}

static void free_options(struct sockopt_obj *at, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		free_bytes(&at[i].value);
	free(at);
}

static void free_packets(struct sock_packet *at, size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		free_bytes(&at[i].data);
		free_bytes(&at[i].from);
		free_bytes(&at[i].to);
		vec_free(&at[i].files);
	}
	free(at);
}

void model_free_ve(struct ve_obj *ve)
{
	free(ve->conf);
	free(ve->template_name);
	free(ve->template_digest);
	free(ve->hostname);
	free(ve->domainname);
	free(ve->kernel_release);
	*ve = (struct ve_obj){0};
}

void model_free_tree(struct tree_obj *tree)
{
	vec_free(&tree->tasks);
	*tree = (struct tree_obj){0};
}

void model_free_mount(struct mount_obj *mount)
{
	free(mount->mountpoint);
	free(mount->root);
	free(mount->fstype);
	free(mount->source);
	free(mount->options);
	free(mount->super_options);
	*mount = (struct mount_obj){0};
}

void model_free_fsent(struct fsent_obj *fsent)
{
	vec_each(x, &fsent->xattrs) {
		free(x->name);
		free_bytes(&x->value);
	}
	vec_free(&fsent->xattrs);
	free(fsent->path);
	free(fsent->symlink);
	free(fsent->hardlink);
	free_bytes(&fsent->content);
	*fsent = (struct fsent_obj){0};
}

void model_free_netns(struct netns_obj *netns)
{
	vec_each(l, &netns->links) {
		free(l->name);
		free(l->kind);
		free_bytes(&l->mac);
	}
	vec_each(a, &netns->addrs) {
		free(a->link);
		free(a->label);
		free_bytes(&a->local);
		free_bytes(&a->peer);
		free_bytes(&a->broadcast);
	}
	vec_each(r, &netns->routes) {
		free(r->link);
		free_bytes(&r->dst);
		free_bytes(&r->gateway);
		free_bytes(&r->prefsrc);
	}
	vec_each(s, &netns->sysctls) {
		free(s->name);
		free(s->value);
	}
	vec_free(&netns->links);
	vec_free(&netns->addrs);
	vec_free(&netns->routes);
	vec_free(&netns->sysctls);
	*netns = (struct netns_obj){0};
}

void model_free_cgroup(struct cgroup_obj *cgroup)
{
	vec_each(f, &cgroup->files) {
		free(f->name);
		free(f->value);
	}
	vec_each(x, &cgroup->xattrs) {
		free(x->name);
		free_bytes(&x->value);
	}
	vec_free(&cgroup->files);
	vec_free(&cgroup->xattrs);
	free(cgroup->path);
	*cgroup = (struct cgroup_obj){0};
}

void model_free_ipc(struct ipc_obj *ipc)
{
	*ipc = (struct ipc_obj){0};
}

void model_free_msgq(struct msgq_obj *msgq)
{
	vec_each(message, &msgq->messages)
		free_bytes(&message->text);
	vec_free(&msgq->messages);
	*msgq = (struct msgq_obj){0};
}

void model_free_semset(struct semset_obj *semset)
{
	vec_free(&semset->values);
	vec_free(&semset->undos);
	*semset = (struct semset_obj){0};
}

void model_free_ghost(struct ghost_obj *ghost)
{
	free(ghost->dir);
	*ghost = (struct ghost_obj){0};
}

void model_free_reg(struct reg_obj *reg)
{
	free(reg->path);
	*reg = (struct reg_obj){0};
}

void model_free_shm(struct shm_obj *shm)
{
	free(shm->name);
	*shm = (struct shm_obj){0};
}

void model_free_mm(struct mm_obj *mm)
{
	vec_each(vma, &mm->vmas)
		free(vma->anon_name);
	vec_free(&mm->vmas);
	free_bytes(&mm->auxv);
	*mm = (struct mm_obj){0};
}

void model_free_chardev(struct chardev_obj *chardev)
{
	free(chardev->path);
	*chardev = (struct chardev_obj){0};
}

void model_free_pipe(struct pipe_obj *pipe)
{
	vec_each(c, &pipe->chunks)
		free_bytes(&c->data);
	vec_free(&pipe->chunks);
	free(pipe->fifo_path);
	*pipe = (struct pipe_obj){0};
}

void model_free_eventfd(struct eventfd_obj *eventfd)
{
	*eventfd = (struct eventfd_obj){0};
}

void model_free_timerfd(struct timerfd_obj *timerfd)
{
	*timerfd = (struct timerfd_obj){0};
}

void model_free_signalfd(struct signalfd_obj *signalfd)
{
	*signalfd = (struct signalfd_obj){0};
}

void model_free_inotify(struct inotify_obj *inotify)
{
	vec_free(&inotify->watches);
	*inotify = (struct inotify_obj){0};
}

void model_free_pidfd(struct pidfd_obj *pidfd)
{
	*pidfd = (struct pidfd_obj){0};
}

void model_free_tty(struct tty_obj *tty)
{
	free_bytes(&tty->cc);
	free_bytes(&tty->to_slave);
	free_bytes(&tty->to_master);
	*tty = (struct tty_obj){0};
}

void model_free_unix(struct unix_obj *u)
{
	free_bytes(&u->name);
	free(u->path);
	free_options(u->options.at, u->options.nr);
	free_packets(u->queue.at, u->queue.nr);
	vec_free(&u->pending);
	*u = (struct unix_obj){0};
}

void model_free_inet(struct inet_obj *inet)
{
	free_bytes(&inet->src);
	free_bytes(&inet->dst);
	free(inet->device);
	free_options(inet->options.at, inet->options.nr);
	free_packets(inet->queue.at, inet->queue.nr);
	free_bytes(&inet->send_queue);
	free_bytes(&inet->recv_queue);
	*inet = (struct inet_obj){0};
}

void model_free_epoll(struct epoll_obj *epoll)
{
	vec_free(&epoll->targets);
	*epoll = (struct epoll_obj){0};
}

void model_free_file(struct file_obj *file)
{
	vec_free(&file->locks);
	*file = (struct file_obj){0};
}

void model_free_files(struct files_obj *files)
{
	vec_free(&files->fds);
	*files = (struct files_obj){0};
}

void model_free_fs(struct fs_obj *fs)
{
	free(fs->root);
	free(fs->cwd);
	*fs = (struct fs_obj){0};
}

void model_free_sighand(struct sighand_obj *sighand)
{
	*sighand = (struct sighand_obj){0};
}

static void free_thread(struct thread_obj *t)
{
	vec_each(set, &t->regs.sets)
		free_bytes(&set->content);
	vec_free(&t->regs.sets);
	vec_free(&t->pending);
	vec_free(&t->creds.groups);
	free(t->comm);
	free_bytes(&t->affinity);
}

void model_free_task(struct task_obj *task)
{
	vec_each(t, &task->threads)
		free_thread(t);
	vec_free(&task->threads);
	vec_free(&task->pending);
	vec_free(&task->posix_timers);
	free(task->cgroup);
	*task = (struct task_obj){0};
}

void model_free(struct model *m)
{
#define OBJECT(name, type, struct_, member)                                                                  \
	do {                                                                                                 \
		vec_each(obj, &m->member)                                                                    \
			model_free_##name(obj);                                                              \
		vec_free(&m->member);                                                                        \
	} while (0);
#include "model/objects.def"
#undef OBJECT
}

/* --- by id --- */

/* Items whose first member is a u32 id, ascending. */
static void *find(void *items, size_t nr, size_t item_bytes, uint32_t id)
{
	size_t lo = 0, hi = nr;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		void *item = (uint8_t *)items + mid * item_bytes;
		uint32_t at = *(uint32_t *)item;

		if (at == id)
			return item;
		if (at < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

#define LOOKUP(name, id_type, member)                                                                        \
	_Static_assert(offsetof(struct name##_obj, id) == 0, "the id is the first member");                  \
	struct name##_obj *model_##name(const struct model *m, id_type id)                                   \
	{                                                                                                    \
		return find(m->member.at, m->member.nr, sizeof(*m->member.at), id);                          \
	}

LOOKUP(mm, mm_id, mms)
LOOKUP(shm, shm_id, shms)
LOOKUP(reg, reg_id, regs)
LOOKUP(ghost, ghost_id, ghosts)
LOOKUP(file, file_id, files)
LOOKUP(files, files_id, fdtables)
LOOKUP(fs, fs_id, fss)
LOOKUP(sighand, sighand_id, sighands)
LOOKUP(pipe, pipe_id, pipes)
LOOKUP(tty, tty_id, ttys)
LOOKUP(unix, uint32_t, unixs)
LOOKUP(inet, uint32_t, inets)
LOOKUP(eventfd, uint32_t, eventfds)
LOOKUP(timerfd, uint32_t, timerfds)
LOOKUP(signalfd, uint32_t, signalfds)
LOOKUP(epoll, uint32_t, epolls)
LOOKUP(inotify, uint32_t, inotifys)
LOOKUP(pidfd, uint32_t, pidfds)
LOOKUP(chardev, uint32_t, chardevs)
LOOKUP(mount, mount_id, mounts)
LOOKUP(cgroup, uint32_t, cgroups)

static int by_path(const void *path, const void *cgroup)
{
	return strcmp(path, ((const struct cgroup_obj *)cgroup)->path);
}

struct cgroup_obj *model_cgroup_at(const struct model *m, const char *path)
{
	return m->cgroups.nr ? bsearch(path, m->cgroups.at, m->cgroups.nr, sizeof(*m->cgroups.at), by_path)
			     : NULL;
}

struct task_obj *model_task(const struct model *m, uint32_t pid)
{
	vec_each(t, &m->tasks) {
		if (t->pid == pid)
			return t;
	}
	return NULL;
}
