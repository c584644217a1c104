/*---
kind: cdc
description: Current rows of document-ai.documents.
source: bronze.documents
key: [document_id]
target_lag: 10 seconds
owner: ml-platform@hospital.example
tags: [phi, hospital]
columns:
  document_id: {type: "string"}
  patient_id: {type: "string", phi: other_id}
  document_type: {type: "string"}
  status: {type: "string"}
  content: {type: "string", phi: free_text}
  extracted: {type: "string"}
  confidence: {type: "decimal(5,4)"}
  pages: {type: "int"}
  received_at: {type: "timestamptz"}
  updated_at: {type: "timestamp"}
---*/
SELECT
  after.document_id   AS document_id,
  after.patient_id    AS patient_id,
  after.document_type AS document_type,
  after.status        AS status,
  after.content       AS content,
  after.extracted     AS extracted,
  after.confidence    AS confidence,
  after.pages         AS pages,
  after.received_at   AS received_at,
  after.updated_at    AS updated_at
FROM bronze.documents
