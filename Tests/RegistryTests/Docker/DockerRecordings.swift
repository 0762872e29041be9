/// Answers of a real engine (Docker 20.10), shortened.
enum DockerRecordings {
    static let id = "5ca2061a929f8e1084918448a6780ca7845efbb306868f8e6e5182fcb5c81ce0"

    static let list = """
        [{"Id":"\(id)","Names":["/shop"],"Image":"web","Command":"/web","Created":1795253497,"Ports":[{"IP":\
        "127.0.0.1","PrivatePort":8080,"PublicPort":18080,"Type":"tcp"}],"Labels":\
        {"aliyun.routing.port_8080":"shop.example",\
        "com.docker.compose.service":"shop"},"State":"running","Status":"Up 2 seconds (healthy)","HostConfig":\
        {"NetworkMode":"default"},"Mounts":[]},{"Id":"77","Names":["/other"],"Labels":{"maintainer":"x"}},\
        {"Id":"78","Labels":null},{"Id":"../79","Labels":{"mesh.enable":"true"}}]
        """

    static let inspect = """
        {"Id":"\(id)","Created":"2026-11-21T09:31:37.808492217Z","Path":"/web","Args":[],"State":{"Status":"running",\
        "Running":true,"Paused":false,"Restarting":false,"Dead":false,"Pid":15125,\
        "StartedAt":"2026-11-21T09:31:38.197126401Z","Health":{"Status":"healthy",\
        "FailingStreak":0,"Log":[{"ExitCode":0,"Output":""}]}},"Name":"/shop","HostConfig":{"NetworkMode":"default",\
        "PortBindings":{"8080/tcp":[{"HostIp":"127.0.0.1","HostPort":"18080"}]}},"Config":{"ExposedPorts":\
        {"8080/tcp":{},"53/udp":{},"9/sctp":{}},"Labels":{"aliyun.routing.port_8080":"shop.example",\
        "com.docker.compose.service":"shop"}},"NetworkSettings":{"Bridge":"","Ports":{"8080/tcp":[{"HostIp":\
        "127.0.0.1","HostPort":"18080"}],"53/udp":null},"IPAddress":"172.18.1.2","Networks":{"other":{"IPAMConfig":\
        {},"Aliases":["5ca2061a929f"],"IPAddress":"172.17.0.2","GlobalIPv6Address":""},"bridge":{"IPAMConfig":null,\
        "IPAddress":"172.18.1.2","GlobalIPv6Address":"fd00::2"}}}}
        """

    static func event(_ action: String, labels: String = "\"aliyun.routing.port_8080\":\"shop.example\",") -> String {
        """
        {"status":"\(action)","id":"\(id)","from":"web","Type":"container","Action":"\(action)","Actor":{"ID":"\(id)",\
        "Attributes":{\(labels)"image":"web","name":"shop"}},"scope":"local",\
        "time":1795253497,"timeNano":1795253497878248172}
        """
    }

    static func kill(_ signal: String) -> String {
        event("kill", labels: "\"aliyun.routing.port_8080\":\"shop.example\",\"signal\":\"\(signal)\",")
    }

    static let connect = """
        {"Type":"network","Action":"connect","Actor":{"ID":"5d0c","Attributes":{"container":"\(id)","name":"other",\
        "type":"bridge"}},"scope":"local","time":1795253498,"timeNano":1795253498348867939}
        """
}
