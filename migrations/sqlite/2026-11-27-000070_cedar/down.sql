DROP TABLE cedar;
