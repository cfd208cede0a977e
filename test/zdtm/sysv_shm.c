/*
 * SysV shared memory: content, address, mode and owner, id and key. With an
 * argument: "rdonly", "rmid": marked for destruction, "parts": pieces of attachments,
 * "detached": nobody has it attached, "huge", "children": by fork and by id,
 * "kept": others change it; "outsider ID" is such a one.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>

#include "maps.h"
#include "sysv.h"
#include "zdtm.h"

#define PAGE 4096UL
#define SIZE (64 * PAGE - 100)
#define KEY  (0x63720000 + getpid() % 65536)

static struct maps before, after;

static void stat_same(int id, const struct shmid_ds *was)
{
	struct shmid_ds now;

	check(shmctl(id, IPC_STAT, &now) == 0);
	check(now.shm_perm.__key == was->shm_perm.__key && now.shm_segsz == was->shm_segsz);
	check(now.shm_perm.mode == was->shm_perm.mode && now.shm_cpid == was->shm_cpid);
	check(now.shm_perm.uid == was->shm_perm.uid && now.shm_perm.gid == was->shm_perm.gid);
	check(now.shm_perm.cuid == was->shm_perm.cuid && now.shm_nattch == was->shm_nattch);
}

static int make(int flags, char **ret)
{
	int id = shmget(KEY, SIZE, IPC_CREAT | IPC_EXCL | 0640 | flags);

	sysv_note('m', id);
	*ret = shmat(id, NULL, 0);
	check(*ret != (void *)-1);
	(*ret)[0] = 'a';
	(*ret)[40 * PAGE] = 'z';
	return id;
}

static int plain(void)
{
	struct shmid_ds ds;
	char *at;
	int id = make(0, &at);

	check(shmctl(id, IPC_STAT, &ds) == 0);
	ds.shm_perm.uid = 4711;
	ds.shm_perm.mode = 0604;
	check(shmctl(id, IPC_SET, &ds) == 0 && shmctl(id, IPC_STAT, &ds) == 0);

	zdtm_park();

	stat_same(id, &ds);
	check(at[0] == 'a' && at[40 * PAGE] == 'z' && !at[PAGE]);
	check(shmget(KEY, 0, 0) == id && at[5] == 0);
	check(shmdt(at) == 0 && shmctl(id, IPC_RMID, NULL) == 0);
	return zdtm_pass();
}

/* Somebody else changes it after the dump, and that is what is wanted. */
static int kept(void)
{
	char *at;
	int id = make(0, &at);

	zdtm_park();

	check(at[0] == 'a' && at[5] == 'o');
	check(shmctl(id, IPC_RMID, NULL) == 0);
	return zdtm_pass();
}

static int outsider(int id)
{
	char *at = shmat(id, NULL, 0);

	check(at != (void *)-1);
	zdtm_park();
	at[5] = 'o';
	return zdtm_pass();
}

static int rdonly(void)
{
	char *at, *ro;
	int id = make(0, &at);

	ro = shmat(id, NULL, SHM_RDONLY);
	check(ro != (void *)-1);

	zdtm_park();

	at[1] = 'b';
	check(ro[1] == 'b' && ro[0] == 'a');
	check(mprotect(ro, PAGE, PROT_READ | PROT_WRITE) < 0 && errno == EACCES);
	check(shmctl(id, IPC_RMID, NULL) == 0);
	return zdtm_pass();
}

static int rmid(void)
{
	struct shmid_ds ds;
	char *at;
	int id = make(0, &at), again;

	check(shmctl(id, IPC_RMID, NULL) == 0 && shmctl(id, IPC_STAT, &ds) == 0);

	zdtm_park();

	stat_same(id, &ds);
	check(ds.shm_perm.mode & SHM_DEST);
	check(at[40 * PAGE] == 'z' && shmget(KEY, 0, 0) < 0);
	check(shmdt(at) == 0);
	again = shmctl(id, IPC_STAT, &ds);
	check(again < 0);
	return zdtm_pass();
}

static int parts(void)
{
	char *a, *b, *c;
	int id = make(0, &a);

	b = shmat(id, NULL, 0);
	c = shmat(id, NULL, 0);
	check(b != (void *)-1 && c != (void *)-1);
	check(munmap(a, 10 * PAGE) == 0 && munmap(a + 60 * PAGE, 4 * PAGE) == 0);
	check(mprotect(b + 8 * PAGE, 8 * PAGE, PROT_NONE) == 0);
	check(munmap(c + 16 * PAGE, 16 * PAGE) == 0);
	maps_take(&before);

	zdtm_park();

	maps_take(&after);
	check(maps_same(&before, &after));
	check(a[40 * PAGE] == 'z' && b[40 * PAGE] == 'z' && c[0] == 'a');
	a[50 * PAGE] = 'n';
	check(b[50 * PAGE] == 'n');
	check(shmdt(b) == 0 && shmctl(id, IPC_RMID, NULL) == 0);
	return zdtm_pass();
}

static int detached(void)
{
	struct shmid_ds ds;
	char *at;
	int id = make(0, &at);

	check(shmdt(at) == 0 && shmctl(id, IPC_STAT, &ds) == 0);

	zdtm_park();

	stat_same(id, &ds);
	at = shmat(id, NULL, 0);
	check(at != (void *)-1 && at[0] == 'a' && at[40 * PAGE] == 'z');
	check(shmctl(id, IPC_RMID, NULL) == 0);
	return zdtm_pass();
}

static int huge(void)
{
	int id = shmget(KEY, 4 << 20, IPC_CREAT | IPC_EXCL | 0600 | SHM_HUGETLB);
	char *at;

	sysv_note('m', id);
	at = shmat(id, NULL, 0);
	check(at != (void *)-1);
	at[3 << 20] = 'h';

	zdtm_park();

	check(at[3 << 20] == 'h' && !at[0]);
	check(shmctl(id, IPC_RMID, NULL) == 0);
	return zdtm_pass();
}

/* Two that did not inherit it from each other, one that did. */
static int children(void)
{
	char *at;
	int id = make(0, &at), status;
	pid_t pid[3];

	for (int i = 0; i < 3; i++) {
		pid[i] = fork();
		check(pid[i] >= 0);
		if (pid[i])
			continue;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (i) {
			check(shmdt(at) == 0);
			at = shmat(id, NULL, 0);
		}
		at[i + 1] = 1;
		while (at[10] != 1)
			zdtm_nap();
		at[20 + i] = (char)(at[0] + i);
		_exit(0);
	}
	while (!at[1] || !at[2] || !at[3])
		zdtm_nap();

	zdtm_park();

	at[10] = 1;
	for (int i = 0; i < 3; i++)
		check(waitpid(pid[i], &status, 0) == pid[i] && status == 0);
	check(at[20] == 'a' && at[21] == 'b' && at[22] == 'c');
	check(shmctl(id, IPC_RMID, NULL) == 0);
	return zdtm_pass();
}

static const struct {
	const char *name;
	int (*run)(void);
} variants[] = {
	{ "kept", kept },         { "rdonly", rdonly },     { "rmid", rmid },
	{ "parts", parts },       { "detached", detached }, { "huge", huge },
	{ "children", children },
};

int main(int argc, char **argv)
{
	for (size_t i = 0; i < sizeof(variants) / sizeof(variants[0]); i++)
		if (argc > 1 && !strcmp(argv[1], variants[i].name))
			return variants[i].run();
	return argc > 2 ? outsider(atoi(argv[2])) : plain();
}
