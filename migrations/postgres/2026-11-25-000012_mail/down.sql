DROP TABLE alert_notice;
DROP TABLE mail_outbox;
