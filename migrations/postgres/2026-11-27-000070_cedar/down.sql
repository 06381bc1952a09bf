DROP TABLE cedar_policies;
