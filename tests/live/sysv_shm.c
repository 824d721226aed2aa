/* SPDX-License-Identifier: GPL-2.0-only */
/* System V shared memory: ids, keys, owners, content; attached twice, in a child, in pieces, by nobody,
 * removed. */
#include <sys/ipc.h>
#include <sys/shm.h>

#include "tests/live/live.h"

#define PAGE 4096ul
#define KEY  0x56525354

static int plain, odd, lonely, removed, replaced;
static unsigned char *first, *second, *cut, *gone, *odd_at;

static int sabotage(int nr)
{
	struct shmid_ds ds;

	switch (nr) {
	case 1:
		first[5 * PAGE] ^= 1;
		return 0;
	case 2: /* no attachment any more: a mapping that only looks like it */
		shmdt(second);
		return mmap(second, 8 * PAGE, PROT_READ, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
		       MAP_FAILED;
	case 3:
		return shmctl(lonely, IPC_RMID, NULL);
	case 4:
		shmctl(plain, IPC_STAT, &ds);
		ds.shm_perm.mode = 0666;
		return shmctl(plain, IPC_SET, &ds);
	case 5:
		shmctl(plain, IPC_STAT, &ds);
		ds.shm_perm.uid = 7;
		return shmctl(plain, IPC_SET, &ds);
	case 6:
		return mprotect(cut + 2 * PAGE, PAGE, PROT_READ | PROT_WRITE);
	case 7:
		odd_at[PAGE + 200] ^= 1;
		return 0;
	case 8:
		gone[9] ^= 1;
		return 0;
	case 9: /* its number comes from another place */
		shmctl(replaced, IPC_RMID, NULL);
		return shmget(KEY + 2, PAGE, IPC_CREAT | 0600) == -1;
	}
	return -1;
}

static long attachments(int id)
{
	struct shmid_ds ds;

	return shmctl(id, IPC_STAT, &ds) ? -1 : (long)ds.shm_nattch;
}

static void make(void)
{
	struct shmid_ds ds;
	unsigned char *p;

	/* numbers that are not the first ones */
	for (int i = 0; i < 3; i++) {
		int id = DO(shmget(IPC_PRIVATE, PAGE, 0600));

		DO(shmctl(id, IPC_RMID, NULL));
	}
	plain = DO(shmget(KEY, 8 * PAGE, IPC_CREAT | IPC_EXCL | 0640));
	DO(shmctl(plain, IPC_STAT, &ds));
	ds.shm_perm.uid = 4711;
	ds.shm_perm.gid = 4712;
	DO(shmctl(plain, IPC_SET, &ds));
	first = DO(shmat(plain, NULL, 0));
	second = DO(shmat(plain, NULL, SHM_RDONLY));
	live_fill(first, 6 * PAGE, 3); /* the rest stays untouched */
	odd = DO(shmget(IPC_PRIVATE, PAGE + 100, 0600));
	odd_at = DO(shmat(odd, NULL, 0));
	live_fill(odd_at, 2 * PAGE, 4); /* behind its end, on its last page */
	lonely = DO(shmget(KEY + 1, 3 * PAGE, IPC_CREAT | 0600));
	p = DO(shmat(lonely, NULL, 0));
	live_fill(p, 3 * PAGE, 5);
	DO(shmdt(p));
	replaced = DO(shmget(KEY + 2, PAGE, IPC_CREAT | 0600));
	removed = DO(shmget(KEY + 3, 2 * PAGE, IPC_CREAT | 0600));
	gone = DO(shmat(removed, NULL, 0));
	live_fill(gone, 2 * PAGE, 6);
	DO(shmctl(removed, IPC_RMID, NULL));
	cut = DO(shmat(plain, NULL, 0));
	DO(mprotect(cut + 2 * PAGE, PAGE, PROT_READ));
	DO(munmap(cut + 6 * PAGE, PAGE));
}

static void child(void)
{
	live_go();
	CHECK(live_same(first, 6 * PAGE, 3));
	first[6 * PAGE + 1] = 42;
	CHECK_EQ(shmdt(gone), 0);
	live_child_end();
}

static bool is_writable(unsigned char *p)
{
	char text[65536], *line = text;
	unsigned long start, end;
	char w;

	live_read_file("/proc/self/maps", text, sizeof(text));
	for (; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (sscanf(line, "%lx-%lx %*c%c", &start, &end, &w) == 3 && start <= (unsigned long)p &&
		    (unsigned long)p < end)
			return w == 'w';
	}
	return false;
}

int main(void)
{
	struct shmid_ds ds;
	long before[3];
	int same_numbers[5];
	pid_t pid;

	make();
	pid = live_fork();
	if (!pid) {
		live_child_ready();
		child();
	}
	before[0] = attachments(plain);
	before[1] = attachments(removed);
	before[2] = attachments(odd);

	live_wait(sabotage);

	live_reap(pid);
	same_numbers[0] = shmget(KEY, 0, 0);
	same_numbers[1] = shmget(KEY + 1, 0, 0);
	same_numbers[2] = shmget(KEY + 2, 0, 0);
	CHECK_EQ(same_numbers[0], plain);
	CHECK_EQ(same_numbers[1], lonely);
	CHECK_EQ(same_numbers[2], replaced);
	CHECK_ERRNO(shmget(KEY + 3, 0, 0), ENOENT);
	CHECK_EQ(before[0] - attachments(plain), before[0] / 2);
	CHECK_EQ(attachments(removed), before[1] / 2);
	CHECK_EQ(attachments(odd), before[2] / 2);
	CHECK_EQ(shmctl(plain, IPC_STAT, &ds), 0);
	CHECK_EQ(ds.shm_segsz, 8 * PAGE);
	CHECK_EQ(ds.shm_perm.mode, 0640);
	CHECK_EQ(ds.shm_perm.uid, 4711);
	CHECK_EQ(ds.shm_perm.gid, 4712);
	CHECK_EQ(ds.shm_perm.cuid, geteuid());
	CHECK_EQ(shmctl(odd, IPC_STAT, &ds), 0);
	CHECK_EQ(ds.shm_segsz, PAGE + 100);
	CHECK(live_same(first, 6 * PAGE, 3));
	CHECK_EQ(first[6 * PAGE + 1], 42);
	CHECK_EQ(second[6 * PAGE + 1], 42);
	CHECK(live_same(odd_at, 2 * PAGE, 4));
	CHECK(live_same(gone, 2 * PAGE, 6));
	first[7 * PAGE] = 43;
	CHECK_EQ(cut[7 * PAGE], 43);
	CHECK(!is_writable(second));
	CHECK(is_writable(cut));
	CHECK(!is_writable(cut + 2 * PAGE));
	CHECK_EQ(shmdt(cut), 0);
	CHECK_EQ(shmdt(second), 0);
	CHECK_EQ(attachments(plain), 1);
	CHECK_EQ(shmdt(gone), 0);
	CHECK_ERRNO(shmctl(removed, IPC_STAT, &ds), EINVAL);
	cut = shmat(lonely, NULL, 0);
	CHECK(cut != (void *)-1 && live_same(cut, 3 * PAGE, 5));
	CHECK_EQ(shmctl(plain, IPC_RMID, NULL) | shmctl(odd, IPC_RMID, NULL) |
			 shmctl(lonely, IPC_RMID, NULL) | shmctl(replaced, IPC_RMID, NULL),
		 0);
	return live_end();
}
