-- Run once, when the PostgreSQL server of compose.yaml begins: the history has a database of its own.
CREATE DATABASE dagster;
