/*---
kind: view
description: Everything that happened to a patient, in one list.
owner: clinical-data@hospital.example
tags: [phi, hospital]
---*/
SELECT patient_id, scheduled_at AS event_timestamp, 'APPOINTMENT' AS event_type, 'appointments' AS event_source,
  appointment_id AS event_id, status AS event_detail
FROM silver.appointments
UNION ALL
SELECT patient_id, resulted_at, 'LAB_RESULT', 'lab_results', result_id, test_name FROM silver.lab_results
UNION ALL
SELECT patient_id, issued_at, 'PRESCRIPTION', 'prescriptions', prescription_id, medication FROM silver.prescriptions
UNION ALL
SELECT patient_id, measured_at, 'VITAL', 'vitals', vital_id, vital_type FROM silver.vitals
UNION ALL
SELECT patient_id, admitted_at, 'ENCOUNTER', 'encounters', encounter_id, encounter_type FROM silver.encounters
