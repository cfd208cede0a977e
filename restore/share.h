/* Tables that tasks share, as clone(2) makes them (lib/table.h). */
#pragma once

struct restore;
struct rtask;

/* Fill shares[] of all tasks; needs their roles and parents. */
int shares_link(struct restore *r);

/* The sibling that must fork T, since its parent does not have what T shares; else NULL. */
struct rtask *shares_sibling(const struct rtask *t);

/* All forkers being known: everybody who shares is forked by one of those with whom he does. */
int shares_are_forked(const struct restore *r);
