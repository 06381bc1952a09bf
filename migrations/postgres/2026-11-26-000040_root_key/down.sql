DELETE FROM generation WHERE topic = 'roots';
DROP TABLE root_key;
