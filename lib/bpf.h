/* bpf(2): objects that are pinned, known by what fdinfo tells of them. */
#pragma once

#include <linux/bpf.h>
#include <stddef.h>

#define BPF_FACTS 256

/* -errno. */
long bpf_call(int command, union bpf_attr *attr);

/*
 * A program: a descriptor or -errno. The verifier gives up when a signal comes (EAGAIN), and on a loaded machine the
 * timer of lib/deadline.h would always be first.
 */
int bpf_load(union bpf_attr *attr);
/* The lines of FDINFO that tell what kind of program, map or link it is; "": it is none. */
void bpf_facts(const char *fdinfo, char ret[static BPF_FACTS]);
/* A descriptor of what is pinned at PATH, with the access mode of FLAGS; -errno. Its facts. */
int bpf_open_pin(const char *path, unsigned flags, char ret_facts[static BPF_FACTS]);
/*
 * Where the object whose fdinfo that is is pinned: in *RET, fresh. -ENOENT: nowhere
 * that we can see.
 */
int bpf_find_pin(const char *fdinfo, char **ret);
