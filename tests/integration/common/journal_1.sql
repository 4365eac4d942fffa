-- The tables of a journal of version 1, as helpers in the field have them: a change here is another version.
PRAGMA journal_mode = WAL;
CREATE TABLE incident ("id" INTEGER PRIMARY KEY AUTOINCREMENT, "created" INTEGER NOT NULL, "changed" INTEGER NOT NULL, "state" TEXT NOT NULL, "detail" TEXT, "sender" INTEGER NOT NULL, "sender_user" INTEGER NOT NULL, "sender_start" INTEGER NOT NULL, "claim" TEXT NOT NULL, "claim_detail" TEXT, "repeats" INTEGER NOT NULL, "answer" TEXT, "name" TEXT, "confidence" REAL NOT NULL, "cve" TEXT, "package" TEXT, "recipe" TEXT, "serial" INTEGER NOT NULL, "root" TEXT, "target" INTEGER NOT NULL, "target_start" INTEGER NOT NULL, "from" TEXT, "to" TEXT, "downloaded" INTEGER NOT NULL, "memory" INTEGER NOT NULL, "disk_growth" INTEGER NOT NULL, "outage" INTEGER NOT NULL, "event" BLOB) STRICT;
CREATE TABLE step ("id" INTEGER PRIMARY KEY AUTOINCREMENT, "incident" INTEGER NOT NULL, "begun" INTEGER NOT NULL, "ended" INTEGER NOT NULL, "name" TEXT, "good" INTEGER NOT NULL, "detail" TEXT, "bytes" INTEGER NOT NULL, "memory" INTEGER NOT NULL) STRICT;
CREATE TABLE serial (recipe TEXT PRIMARY KEY NOT NULL, highest INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE restart (time INTEGER NOT NULL, incident INTEGER NOT NULL, root TEXT NOT NULL, program TEXT NOT NULL) STRICT;
CREATE TABLE refusal (reason TEXT PRIMARY KEY NOT NULL, count INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX incident_state ON incident (state, id, repeats);
CREATE INDEX incident_changed ON incident (changed);
CREATE INDEX incident_recipe ON incident (recipe);
CREATE INDEX step_incident ON step (incident);
CREATE INDEX step_begun ON step (begun);
CREATE INDEX step_ended ON step (ended);
CREATE INDEX restart_program ON restart (program, time);
CREATE INDEX restart_time ON restart (time);
PRAGMA user_version = 1;
