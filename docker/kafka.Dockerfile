# Kafka with the Prometheus JMX exporter's agent, for docker/compose.yaml.
FROM maven:3.9.11-eclipse-temurin-17 AS agent
RUN mvn --batch-mode --quiet dependency:copy -Dartifact=io.prometheus.jmx:jmx_prometheus_javaagent:1.0.1 -DoutputDirectory=/agent -Dmdep.stripVersion=true

FROM apache/kafka:4.3.1
COPY --from=agent /agent/jmx_prometheus_javaagent.jar /opt/jmx/agent.jar
COPY docker/jmx-exporter.yml /opt/jmx/rules.yml
