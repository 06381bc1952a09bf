DROP TABLE cut_hook;
