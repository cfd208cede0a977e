/* Descriptors that crtool's caller gives in place of files (--inherit-fd). */
#pragma once

#include "restore/restore.h"

/* Every --inherit-fd makes sense: its descriptor is there, and a file for it. -EINVAL, explained. */
int inherit_check(struct restore *r);

/* A duplicate of the descriptor that takes the place of FILE; -ENOENT: there is none. -errno, explained. */
int inherit_open(struct restore *r, const Img__File *file, const ProtobufCMessage *msg);
