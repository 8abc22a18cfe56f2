CREATE TABLE batches (
    batch_id VARCHAR COLLATE "C" NOT NULL,
    sequence INTEGER NOT NULL,
    contract_version VARCHAR NOT NULL,
    as_of TIMESTAMP WITH TIME ZONE NOT NULL,
    scored_at TIMESTAMP WITH TIME ZONE NOT NULL,
    model_versions TEXT NOT NULL,
    summary TEXT NOT NULL,
    contacts_rows INTEGER,
    deals_rows INTEGER,
    digest VARCHAR NOT NULL,
    PRIMARY KEY (batch_id),
    UNIQUE (sequence)
);
CREATE TABLE contact_scores (
    batch_id VARCHAR COLLATE "C" NOT NULL,
    contact_id VARCHAR COLLATE "C" NOT NULL,
    model_version TEXT,
    close_likelihood DOUBLE PRECISION,
    likelihood_low DOUBLE PRECISION,
    likelihood_high DOUBLE PRECISION,
    tier TEXT,
    points DOUBLE PRECISION,
    points_fit DOUBLE PRECISION,
    points_engagement DOUBLE PRECISION,
    points_grade TEXT,
    points_likelihood DOUBLE PRECISION,
    agreement TEXT,
    previous_likelihood DOUBLE PRECISION,
    trend TEXT,
    base_rate DOUBLE PRECISION,
    reasons TEXT,
    not_scored TEXT,
    PRIMARY KEY (batch_id, contact_id),
    FOREIGN KEY(batch_id) REFERENCES batches (batch_id)
);
CREATE TABLE deal_scores (
    batch_id VARCHAR COLLATE "C" NOT NULL,
    deal_id VARCHAR COLLATE "C" NOT NULL,
    model_version TEXT,
    pipeline TEXT,
    stage TEXT,
    days_in_stage DOUBLE PRECISION,
    win_probability DOUBLE PRECISION,
    win_low DOUBLE PRECISION,
    win_high DOUBLE PRECISION,
    win_within_horizon DOUBLE PRECISION,
    stage_probability_manual DOUBLE PRECISION,
    stage_rate_observed DOUBLE PRECISION,
    expected_close_at TIMESTAMP WITH TIME ZONE,
    expected_close_low TIMESTAMP WITH TIME ZONE,
    expected_close_high TIMESTAMP WITH TIME ZONE,
    amount DOUBLE PRECISION,
    expected_value DOUBLE PRECISION,
    stalled BOOLEAN,
    points DOUBLE PRECISION,
    points_likelihood DOUBLE PRECISION,
    previous_probability DOUBLE PRECISION,
    trend TEXT,
    base_rate DOUBLE PRECISION,
    reasons TEXT,
    not_scored TEXT,
    PRIMARY KEY (batch_id, deal_id),
    FOREIGN KEY(batch_id) REFERENCES batches (batch_id)
);
CREATE TABLE latest (
    question VARCHAR NOT NULL,
    batch_id VARCHAR COLLATE "C" NOT NULL,
    PRIMARY KEY (question),
    FOREIGN KEY(batch_id) REFERENCES batches (batch_id)
);
INSERT INTO "batches" VALUES('b1',1,'1.0','2024-03-01T00:00:00.000000Z','2024-03-02T04:05:00.000000Z','{"contacts": "contacts-3", "deals": "deals-2"}','{"base_rates": {"contacts": 0.2, "deals": 0.2}}',2,3,'de1a15fe2cef37f628bbc0d79f2fc7ac6ff2fd0077887a8ae41a3591cc40bbe0');
INSERT INTO "batches" VALUES('b2',2,'1.0','2024-04-01T00:00:00.000000Z','2024-03-02T04:05:00.000000Z','{"contacts": "contacts-3", "deals": "deals-2"}','{"base_rates": {"contacts": 0.2, "deals": 0.2}}',2,3,'9405f753997ae3ec82569ecebd47e1081872858a1b021c8111fe5b3f41fbd00d');
INSERT INTO "contact_scores" VALUES('b1','17','contacts-3',0.3,0.25,0.4,'high',35.0,20.0,15.0,'B2',0.18,'model_only',NULL,NULL,0.2,'[{"family": "activity", "effect": 0.15, "words": "Was in touch lately", "features": [{"feature": "replies_30d", "value": 4, "words": "4 replies in 30 days", "effect": 0.13}, {"feature": "other", "value": null, "words": "Other activity", "effect": 0.02}]}, {"family": "company", "effect": -0.05, "words": "Small company", "features": [{"feature": "size", "value": "1-10", "words": "1-10 people", "effect": -0.05}]}]',NULL);
INSERT INTO "contact_scores" VALUES('b1','9','contacts-3',0.3,0.25,0.4,'high',35.0,20.0,15.0,'B2',0.18,'model_only',NULL,NULL,0.2,'[{"family": "activity", "effect": 0.15, "words": "Was in touch lately", "features": [{"feature": "replies_30d", "value": 4, "words": "4 replies in 30 days", "effect": 0.13}, {"feature": "other", "value": null, "words": "Other activity", "effect": 0.02}]}, {"family": "company", "effect": -0.05, "words": "Small company", "features": [{"feature": "size", "value": "1-10", "words": "1-10 people", "effect": -0.05}]}]',NULL);
INSERT INTO "contact_scores" VALUES('b2','17','contacts-3',0.3,0.25,0.4,'high',35.0,20.0,15.0,'B2',0.18,'model_only',NULL,NULL,0.2,'[{"family": "activity", "effect": 0.15, "words": "Was in touch lately", "features": [{"feature": "replies_30d", "value": 4, "words": "4 replies in 30 days", "effect": 0.13}, {"feature": "other", "value": null, "words": "Other activity", "effect": 0.02}]}, {"family": "company", "effect": -0.05, "words": "Small company", "features": [{"feature": "size", "value": "1-10", "words": "1-10 people", "effect": -0.05}]}]',NULL);
INSERT INTO "contact_scores" VALUES('b2','9','contacts-3',0.3,0.25,0.4,'high',35.0,20.0,15.0,'B2',0.18,'model_only',NULL,NULL,0.2,'[{"family": "activity", "effect": 0.15, "words": "Was in touch lately", "features": [{"feature": "replies_30d", "value": 4, "words": "4 replies in 30 days", "effect": 0.13}, {"feature": "other", "value": null, "words": "Other activity", "effect": 0.02}]}, {"family": "company", "effect": -0.05, "words": "Small company", "features": [{"feature": "size", "value": "1-10", "words": "1-10 people", "effect": -0.05}]}]',NULL);
INSERT INTO "deal_scores" VALUES('b1','D2','deals-2','sales','offer sent',12.5,0.3,0.2,0.35,0.1,0.6,0.28,'2024-04-10T12:00:00.000001Z','2024-03-20T00:00:00.000000Z','2024-06-01T00:00:00.000000Z',1000.1,300.03,true,35.0,0.18,0.2,'up',0.2,'[{"family": "activity", "effect": 0.15, "words": "Was in touch lately", "features": [{"feature": "replies_30d", "value": 4, "words": "4 replies in 30 days", "effect": 0.13}, {"feature": "other", "value": null, "words": "Other activity", "effect": 0.02}]}, {"family": "company", "effect": -0.05, "words": "Small company", "features": [{"feature": "size", "value": "1-10", "words": "1-10 people", "effect": -0.05}]}]',NULL);
INSERT INTO "deal_scores" VALUES('b1','d1','deals-2','sales','offer sent',12.5,0.3,0.2,0.35,0.1,0.6,0.28,'2024-04-10T12:00:00.000001Z','2024-03-20T00:00:00.000000Z','2024-06-01T00:00:00.000000Z',1000.1,300.03,true,35.0,0.18,0.2,'up',0.2,'[{"family": "activity", "effect": 0.15, "words": "Was in touch lately", "features": [{"feature": "replies_30d", "value": 4, "words": "4 replies in 30 days", "effect": 0.13}, {"feature": "other", "value": null, "words": "Other activity", "effect": 0.02}]}, {"family": "company", "effect": -0.05, "words": "Small company", "features": [{"feature": "size", "value": "1-10", "words": "1-10 people", "effect": -0.05}]}]',NULL);
INSERT INTO "deal_scores" VALUES('b1','d3',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'no stage history');
INSERT INTO "deal_scores" VALUES('b2','D2','deals-2','sales','offer sent',12.5,0.3,0.2,0.35,0.1,0.6,0.28,'2024-04-10T12:00:00.000001Z','2024-03-20T00:00:00.000000Z','2024-06-01T00:00:00.000000Z',1000.1,300.03,true,35.0,0.18,0.2,'up',0.2,'[{"family": "activity", "effect": 0.15, "words": "Was in touch lately", "features": [{"feature": "replies_30d", "value": 4, "words": "4 replies in 30 days", "effect": 0.13}, {"feature": "other", "value": null, "words": "Other activity", "effect": 0.02}]}, {"family": "company", "effect": -0.05, "words": "Small company", "features": [{"feature": "size", "value": "1-10", "words": "1-10 people", "effect": -0.05}]}]',NULL);
INSERT INTO "deal_scores" VALUES('b2','d1','deals-2','sales','offer sent',12.5,0.3,0.2,0.35,0.1,0.6,0.28,'2024-04-10T12:00:00.000001Z','2024-03-20T00:00:00.000000Z','2024-06-01T00:00:00.000000Z',1000.1,300.03,true,35.0,0.18,0.2,'up',0.2,'[{"family": "activity", "effect": 0.15, "words": "Was in touch lately", "features": [{"feature": "replies_30d", "value": 4, "words": "4 replies in 30 days", "effect": 0.13}, {"feature": "other", "value": null, "words": "Other activity", "effect": 0.02}]}, {"family": "company", "effect": -0.05, "words": "Small company", "features": [{"feature": "size", "value": "1-10", "words": "1-10 people", "effect": -0.05}]}]',NULL);
INSERT INTO "deal_scores" VALUES('b2','d3',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'no stage history');
INSERT INTO "latest" VALUES('contacts','b2');
INSERT INTO "latest" VALUES('deals','b2');
