DROP TABLE delivery;
DROP TABLE endpoint_position;
DROP TABLE endpoint;
