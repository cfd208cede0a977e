/* Protection keys of a process, pkeys(7). */
#pragma once

#include "dump/dump.h"
#include "proto/memory.pb-c.h"

/* Appends the questions to S, of a process; they are none where no process can have keys. */
void memory_keys_ask(struct script *s);

/*
 * Which keys the process holds, bit by bit, as the answers from FIRST on say. What is executable only and has a key
 * that the process does not hold has that of the kernel: the N mappings are told as having none then.
 */
uint32_t memory_keys_take(const struct script *s, size_t first, Img__Vma **vmas, size_t n);
