/*
 * Files and directories that no path leads to. Each is made (or found by its
 * handle) once, by the coordinator; whoever had it open opens it again from there.
 */
#pragma once

#include "proto/inode.pb-c.h"
#include "restore/restore.h"

const Img__Inode *inode_record(const struct restore *r, uint32_t id);

/* Refuse a hostile record, or one that is not of the type of MODE. WHO: who wants it, for messages. Explained. */
int inode_check(struct restore *r, uint32_t id, uint32_t mode, const char *who);

/* The same of content that was kept of a file with a name, for inode_roll_back(). */
int inode_kept_check(struct restore *r, uint32_t id, const char *who);

/* *RET: what was kept of the file PATH, or NULL. -errno, explained. */
int inode_kept_at(struct restore *r, const char *path, const Img__Inode **ret);

/* Its number in the pool, an O_PATH descriptor. -errno, explained. */
int inode_get(struct restore *r, uint32_t id);

/* A description of its own with these flags (less those that have no meaning after open(2)). -errno, explained. */
int inode_open(struct restore *r, uint32_t id, int flags);

/* Times of access and change, once everything is mapped: that is an access. -errno, explained. */
int inode_times(struct restore *r);

void inode_done(struct restore *r);
