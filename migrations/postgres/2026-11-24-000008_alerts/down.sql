DROP TABLE detector_rule;
DROP TABLE alert;
