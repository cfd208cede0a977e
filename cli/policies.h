/* What the options of a dump and of a restore say, for all commands that have them. */
#pragma once

#include "cli/options.h"
#include "dump/dump.h"
#include "restore/restore.h"

/* All but the keys. -EINVAL, explained; COMMAND is for messages. The texts are those of O. */
int dump_policies(const struct options *o, const char *command, struct dump_options *ret);
/* All but the keys and the pidfile. */
int restore_policies(const struct options *o, struct restore_options *ret);
