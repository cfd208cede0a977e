/* A place for files of ours that no path leads to. */
#pragma once

/* The top of a new tmpfs that is mounted nowhere, gone with its last descriptor. -errno. */
int hidden_tmpfs(void);
