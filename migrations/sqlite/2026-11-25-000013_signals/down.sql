DROP TABLE cut_hook;
DROP TABLE delivery;
DROP TABLE endpoint_position;
DROP TABLE endpoint;
