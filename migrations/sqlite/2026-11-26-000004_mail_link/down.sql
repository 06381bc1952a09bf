DROP TABLE mail_link;
