/* The rights of a thread for a while, for what keeps those of who has made it. */
#pragma once

#include "restore/restore.h"

/* TH takes on the rights that it will have, as far as requests of its own go; and gives them back. */
void creds_borrow(struct restore *r, const struct rthread *th, struct script *s);
void creds_return(struct restore *r, const struct rthread *th, struct script *s);

/* T, a zombie, ends as the user whose it was. */
void creds_end_as(struct restore *r, const struct rtask *t, struct script *s);
