/*
 * The JSON Schema of playbooks, for editors: made from the rows of keywords
 * and modules, so it says what the loader says.
 */
#ifndef PROVCTL_PLAYBOOK_SCHEMA_H
#define PROVCTL_PLAYBOOK_SCHEMA_H

#include "base/value.h"

/* The schema (draft 2020-12) as a value; json_write() makes the text. */
const struct value *site_schema_json(struct arena *);

#endif
