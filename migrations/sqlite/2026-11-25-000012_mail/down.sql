DROP TABLE alert_notice;
DROP TABLE invitation;
DROP TABLE mail_link;
DROP TABLE mail_outbox;
